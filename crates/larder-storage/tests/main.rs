//! The tests of larder-storage, one module a theme.

mod store;
