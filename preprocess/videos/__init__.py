"""source=videos: folders of talking-face video -> shards, a small module a stage."""
