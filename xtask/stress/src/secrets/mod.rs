//! Secrets: everything that is done with credentials, right and wrong, by processes some of which are killed, and a search of all
//! that they leave and say for the secrets themselves.

mod canary;
pub(crate) mod keeper;
mod search;
mod step;
pub(crate) mod witness;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use larder_testkit::Seed;

use self::canary::{Canaries, Way};
use self::step::Step;
use crate::crowd::Crowd;
use crate::failure::{Doing as _, Failure};
use crate::promise::Promise;
use crate::scratch;
use crate::stage::Stage;
use crate::worker::Role;

/// How long one spell lasts.
const SPELL: Duration = Duration::from_secs(10);
/// Of a hundred processes of the command, how many are killed.
const KILLED_OF_100: u64 = 15;
/// How long one that is killed lives, at most.
const LIFE_MAX_MS: u64 = 40;

/// Runs spells until the run's time is over.
pub(crate) fn run(stage: &Stage) -> Result<(), Failure> {
    let mut seed = stage.choices("secrets");
    let mut number = 0;
    while !stage.is_over() {
        number += 1;
        let arena = stage.folder.join(format!("secrets-{number}"));
        for folder in ["apart", "searched/home", "config"] {
            scratch::make(&arena.join(folder))?;
        }
        let canaries = Canaries::hatch(&mut seed.fork());
        canaries.write(&arena.join("apart"))?;
        configure(stage, &arena, &canaries)?;
        let cast = vec![Role::Keeper; usize::try_from((stage.processes / 12).clamp(2, 4)).unwrap_or(2)];
        let mut crowd = Crowd::start(stage, "secrets", arena.clone(), seed.fork(), &cast)?;
        let (is_over, chances) = (AtomicBool::new(false), seed.fork());
        std::thread::scope(|scope| {
            // beside the crowd, which must be thawed while a command waits for one of it
            let steps = || take_all(stage, &arena, &canaries, chances, &is_over);
            let steps = std::thread::Builder::new().spawn_scoped(scope, steps).doing("start a scene")?;
            let lived = crowd.live(SPELL, || Ok(()));
            is_over.store(true, Ordering::Relaxed);
            let ended = crowd.end();
            steps.join().map_err(|_| "a scene panicked").doing("run a scene")??;
            lived.and(ended)
        })?;
        if stage.is_cut_short() {
            return Ok(());
        }
        look(stage, &arena, &canaries);
        if !stage.tally.is_violated() {
            scratch::remove(&arena);
        }
    }
    Ok(())
}

/// All steps, again and again, until the spell is over; between them everything is searched.
fn take_all(
    stage: &Stage,
    arena: &Utf8PathBuf,
    canaries: &Canaries,
    mut chances: Seed,
    is_over: &AtomicBool,
) -> Result<(), Failure> {
    let Some(larder) = &stage.larder else { return Ok(()) };
    while !is_over.load(Ordering::Relaxed) {
        for step in Step::all(stage.program.as_str(), arena.join("apart").as_str(), canaries) {
            if is_over.load(Ordering::Relaxed) || stage.is_cut_short() {
                return Ok(());
            }
            take(stage, larder, arena, canaries, &mut chances, &step)?;
        }
        look(stage, arena, canaries);
    }
    Ok(())
}

/// One process of the command; sometimes one of the same kind before it, which is killed.
fn take(
    stage: &Stage,
    larder: &Utf8Path,
    arena: &Utf8PathBuf,
    canaries: &Canaries,
    chances: &mut Seed,
    step: &Step,
) -> Result<(), Failure> {
    if chances.below(100) < KILLED_OF_100 {
        let after = Duration::from_millis(chances.below(LIFE_MAX_MS));
        let said = step.run(stage, larder, arena, canaries, Some(after))?;
        judge_words(stage, canaries, step, &said);
    }
    let said = step.run(stage, larder, arena, canaries, None)?;
    judge_words(stage, canaries, step, &said);
    stage.judge(
        Promise::Secret,
        "secrets",
        &step.name(),
        "it ends as it should, and gives what is asked for",
        step.objection(&said),
    );
    Ok(())
}

fn judge_words(stage: &Stage, canaries: &Canaries, step: &Step, said: &step::Said) {
    for (where_to, words) in [("standard output", &said.output), ("standard error", &said.errors)] {
        let seen = canaries.seen_in(words);
        let wrong = seen.first().map(|way| format!("the canary that is {} on {where_to}", way.name()));
        stage.judge(Promise::Secret, "secrets", &step.name(), "no secret in what it says", wrong);
    }
    stage.tally.counted("bytes searched for secrets", (said.output.len() + said.errors.len()) as u64);
}

/// Searches every file.
fn look(stage: &Stage, arena: &Utf8Path, canaries: &Canaries) {
    for folder in ["searched", "config"] {
        let searched = search::search(&arena.join(folder), &arena.join("config"), canaries);
        let wrong = (!searched.found.is_empty()).then(|| searched.found.join("; "));
        stage.judge(
            Promise::Secret,
            "secrets",
            folder,
            "no secret in any file or name but that of the credentials",
            wrong,
        );
        stage.tally.judged(Promise::Secret, searched.files);
        stage.tally.counted("bytes searched for secrets", searched.bytes);
    }
}

/// What the command reads: how each of the secrets is found.
fn configure(stage: &Stage, arena: &Utf8Path, canaries: &Canaries) -> Result<(), Failure> {
    let apart = arena.join("apart");
    write(&apart.join("command"), canaries.text(Way::Command))?;
    write(&apart.join("said"), canaries.text(Way::Said))?;
    let quoted = |words: &[&str]| serde_json::to_string(words).doing("write a command");
    let prints = format!("cat {apart}/said >&2; cat {apart}/command");
    let printing = quoted(&["sh", "-c", &prints])?;
    let failing = quoted(&["sh", "-c", &format!("{prints}; cat {apart}/said >&2; exit 1")])?;
    let witness = quoted(&[stage.program.as_str(), "witness", apart.as_str()])?;
    let mut text = format!(
        "version: 1\ncredentials:\n  variable: {{env: {}}}\n  command: {{env: {}, command: {printing}}}\n  stored: {{env: {}}}\n  \
         malformed: {{env: {}, prefix: right, length: 4-8}}\n  missing: {{env: CANARY_MISSING}}\n  \
         failing: {{env: CANARY_FAILING, command: {failing}}}\nsources:\n",
        Way::Variable.variable(),
        Way::Command.variable(),
        Way::Stored.variable(),
        Way::Malformed.variable(),
    );
    for name in ["variable", "command", "stored", "malformed", "missing", "failing"] {
        let _ = writeln!(text, "  - {{match: \"{name}/**\", command: {witness}, credentials: [{name}]}}");
    }
    let telling = quoted(&["sh", "-c", &format!("echo auth: ${} >&2; exit 9", Way::Variable.variable())])?;
    let _ = writeln!(text, "  - {{match: \"telling/**\", command: {telling}, credentials: [variable]}}");
    let _ = writeln!(text, "  - {{match: \"nothing/**\", command: {witness}}}");
    write(&arena.join("searched/larder.yaml"), &text)
}

#[expect(clippy::disallowed_methods, reason = "the stress's own files, beside what it judges")]
fn write(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).doing(format!("write {path}"))
}
