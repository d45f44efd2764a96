"""Raw data sets to processed scenes."""
