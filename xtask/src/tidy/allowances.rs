//! Files and functions that may be larger than the rest, each with its reason.

/// A file or function that may be larger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Relative to the workspace.
    pub(super) path: &'static str,
    /// One function of the file, or the file itself.
    pub(super) function: Option<&'static str>,
    pub(super) lines_max: usize,
    /// Why splitting it would make it worse.
    pub(super) reason: &'static str,
}

/// What may be larger. An entry that nothing needs any more is itself a problem.
pub(super) const ALLOWANCES: &[Allowance] = &[];
