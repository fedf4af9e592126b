//! What is to be done about a question: the one place where that is decided, and explained.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::early::Early;
use crate::life::{Life, Verdict};
use crate::time::ms_of;

/// What is known of the copy under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Its times.
    pub life: Life,
    /// Whether something that covers it was invalidated since its fetch began; then it is nothing but a fallback.
    pub is_invalidated: bool,
    /// Whether a file that it depends on is no longer what it was; likewise. It need not be looked at for those who would
    /// not get the copy anyway, or want it whatever it is worth: decide without, and again if the copy would be given out.
    pub is_outdated: bool,
}

/// A failure that all processes remember, so that nobody asks again for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whether a stale copy may be given out instead: not when the upstream has said that there is no such document, or that
    /// this caller may not have it.
    pub allows_stale: bool,
}

/// What one caller wants.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
#[non_exhaustive]
pub struct Wish {
    /// Never ask: any copy that is still kept will do.
    pub offline: bool,
    /// Ask although there is a fresh copy. A stale one is given out only if the upstream fails.
    pub refresh: bool,
    /// Never a stale copy, also not when the upstream fails.
    pub fresh_only: bool,
    /// No copy older than this, whatever its class allows.
    pub max_age: Option<Duration>,
    /// The window in which stale is given out while it is being refreshed, instead of the copy's own.
    pub stale_while_revalidate: Option<Duration>,
    /// The window in which stale is given out if the upstream fails, instead of the copy's own.
    pub stale_if_error: Option<Duration>,
    /// When a fresh copy is refreshed before its time.
    pub early: Early,
    /// Whether anything is refreshed behind a caller's back.
    pub may_refresh: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            offline: false,
            refresh: false,
            fresh_only: false,
            max_age: None,
            stale_while_revalidate: None,
            stale_if_error: None,
            early: Early::Never,
            may_refresh: true,
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Give out the copy.
    Give {
        /// Whether it is refreshed meanwhile, by one of all who find it so.
        refresh: bool,
    },
    /// Ask the upstream, and wait for it.
    Ask {
        /// Whether the copy is given out if the upstream fails or takes too long.
        fallback: bool,
    },
    /// Tell the failure that is remembered.
    Fail,
    /// There is nothing, and nobody is to be asked.
    Absent,
}

/// Why that is to be done: the reason that was decisive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The copy is fresh.
    Fresh,
    /// It is fresh, and near enough to its end to be refreshed early.
    FreshEarly,
    /// It is stale, within its window for use meanwhile.
    WhileRevalidate,
    /// The upstream has failed lately, and the copy is within its window for that.
    IfError,
    /// The upstream has failed lately, and there is nothing to give out instead.
    FailedLately,
    /// The caller does not want the upstream to be asked.
    Offline,
    /// Nothing is stored.
    NoCopy,
    /// Something that covers it was invalidated since it was fetched.
    Invalidated,
    /// A file that it depends on is no longer what it was when it was fetched.
    DependencyChanged,
    /// It is from the future: some clock was wrong.
    Future,
    /// It is older than the caller takes.
    TooOld,
    /// It is stale, and outside of its window for use meanwhile.
    Stale,
    /// The caller wants a new one.
    Refresh,
}

impl Reason {
    /// What it means, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Fresh => "it is fresh",
            Self::FreshEarly => "it is fresh, and near enough to its end to be refreshed early",
            Self::WhileRevalidate => "it is stale, and may be given out while it is refreshed",
            Self::IfError => "the upstream has failed lately, and a stale copy may be given out instead",
            Self::FailedLately => "the upstream has failed lately, and is left alone",
            Self::Offline => "the upstream is not to be asked",
            Self::NoCopy => "nothing is stored, or it was invalidated hard",
            Self::Invalidated => "it was invalidated after it was fetched",
            Self::DependencyChanged => "a file that it depends on has changed since it was fetched",
            Self::Future => "it is from the future, so that some clock was wrong",
            Self::TooOld => "it is older than the caller takes",
            Self::Stale => "its time is over",
            Self::Refresh => "the caller wants a new one",
        }
    }
}

/// What is to be done, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// What the copy is good for by its times alone, in the caller's windows; `None` when there is none.
    pub verdict: Option<Verdict>,
}

impl Decision {
    /// Whether the copy is given out for what it is worth, so that the files that it depends on must be what they were.
    pub const fn takes_for_current(&self) -> bool {
        matches!(self.reason, Reason::Fresh | Reason::FreshEarly | Reason::WhileRevalidate)
    }

    /// Whether the copy may be given out at all, now or when the upstream fails.
    pub const fn can_fall_back(&self) -> bool {
        matches!(self.action, Action::Give { .. } | Action::Ask { fallback: true })
    }
}

/// Decides. Nothing else in larder does: the facade, the command and `explain` all ask here.
///
/// In this order, the first that applies:
///
/// | when | then |
/// |---|---|
/// | offline | the copy, whatever it is worth; or absent |
/// | fresh, current, young enough, and not to be refreshed | the copy; refreshed meanwhile when [`Wish::early`] says so |
/// | a failure is remembered, and not to be refreshed | the copy, within its stale-if-error window, if the failure allows; or the failure |
/// | within its stale-while-revalidate window, current, young enough, and not to be refreshed | the copy, refreshed meanwhile |
/// | else | the upstream is asked; the copy is the fallback within its stale-if-error window |
///
/// A copy that was invalidated softly, or made from files that have changed since, is nothing but a fallback. `draw` is a number of 0 to 1 for [`Early::XFetch`].
pub fn decide(
    copy: Option<&Copy>,
    held: Option<Held>,
    wish: &Wish,
    now: SystemTime,
    draw: impl FnOnce() -> f64,
) -> Decision {
    let now_ms = ms_of(now);
    let Some(copy) = copy else {
        let (action, reason) = match held {
            _ if wish.offline => (Action::Absent, Reason::Offline),
            Some(_) if !wish.refresh => (Action::Fail, Reason::FailedLately),
            _ => (Action::Ask { fallback: false }, Reason::NoCopy),
        };
        return Decision { action, reason, verdict: None };
    };
    let life = copy.life.with_stale(wish.stale_while_revalidate, wish.stale_if_error);
    let verdict = life.verdict_at(now_ms);
    let decided = |action, reason| Decision { action, reason, verdict: Some(verdict) };
    let (give, refreshed) = (Action::Give { refresh: false }, Action::Give { refresh: wish.may_refresh });
    if wish.offline {
        return decided(give, Reason::Offline);
    }
    let is_young = wish.max_age.is_none_or(|most| life.age_exact(now).is_some_and(|age| age <= most));
    let counts = !copy.is_invalidated && !copy.is_outdated && is_young && !wish.refresh;
    if verdict == Verdict::Fresh && counts {
        let is_early = held.is_none() && wish.may_refresh && wish.early.is_due(&life, now_ms, draw);
        return if is_early { decided(refreshed, Reason::FreshEarly) } else { decided(give, Reason::Fresh) };
    }
    // what is fresh by its times, and was invalidated, is the best fallback of all
    let fallback = verdict <= Verdict::StaleIfError && is_young && !wish.fresh_only && has_window(&life);
    if let Some(held) = held.filter(|_| !wish.refresh) {
        let (action, reason) =
            if held.allows_stale && fallback { (give, Reason::IfError) } else { (Action::Fail, Reason::FailedLately) };
        return decided(action, reason);
    }
    if verdict == Verdict::StaleWhileRevalidate && counts && !wish.fresh_only {
        return decided(refreshed, Reason::WhileRevalidate);
    }
    let reason = match verdict {
        _ if wish.refresh => Reason::Refresh,
        _ if copy.is_invalidated => Reason::Invalidated,
        _ if copy.is_outdated => Reason::DependencyChanged,
        Verdict::Kept if life.fetched_ms > now_ms => Reason::Future,
        _ if !is_young => Reason::TooOld,
        _ => Reason::Stale,
    };
    decided(Action::Ask { fallback }, reason)
}

/// Whether stale use is allowed at all: a document whose windows are off is no fallback, also while it is fresh.
const fn has_window(life: &Life) -> bool {
    life.sie_until_ms > life.fresh_until_ms
}
