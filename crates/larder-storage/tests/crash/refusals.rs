//! Errors whose outcome has a name of its own.
