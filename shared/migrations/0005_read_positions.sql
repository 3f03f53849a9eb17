-- Nearly every write to this table moves a position. Room for the new version beside the old one spares the index its
-- part of that.
alter table read_positions set (fillfactor = 50);
