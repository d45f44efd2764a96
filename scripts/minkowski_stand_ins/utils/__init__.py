"""``utils`` of MinkowskiEngine's tests, which find MinkowskiEngine's own folder ``utils`` under that name."""
