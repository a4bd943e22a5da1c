"""Reading and writing files: audio, images, videos. No other package of the project opens one.

`audio` reads recordings, `image` photos, `timeline` and `video_reader` videos; `video_writer` writes mp4; `files`
replaces files only when they are whole and lists the endings that the project reads; `lock` lets one process at a time
into a folder.
"""
