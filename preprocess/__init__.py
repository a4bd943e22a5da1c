"""Raw material -> shards: `python -m preprocess source=… output=DIR`."""
