//! A disk that counts every call and fails, shortens, freezes or kills at the ones a test names.

mod disk;
mod gate;
mod operation;
mod script;

pub use disk::FaultDisk;
pub use gate::Gate;
pub use operation::Operation;
pub use script::{Action, Call};
