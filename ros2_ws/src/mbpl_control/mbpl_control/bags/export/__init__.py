"""Recorded trials as data sets of other worlds: HDF5, Parquet, LeRobotDataset v3, and Rerun to look at one."""
