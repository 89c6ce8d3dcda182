package store

// SearchFor is the statement of a search and its values, for tests of how it is read.
var SearchFor = searchFor
