//! A run: its stage is set, its scenes play at the same time, and what they found is reported.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Parser as _, ValueEnum as _};
use larder_system::{Clock as _, SystemClock};

use crate::arguments::{Arguments, Part, Scene};
use crate::corpus::Corpus;
use crate::failure::{Doing as _, Failure, chain};
use crate::interrupt::Interrupt;
use crate::promise::Promise;
use crate::report::Report;
use crate::sabotage::Sabotage;
use crate::scratch::Scratch;
use crate::stage::Stage;
use crate::tally::Tally;
use crate::{bounds, herd, hostile, locks, orphans, outage, progress, queue, secrets, storm, worker};

type Play = fn(&Stage) -> Result<(), Failure>;

/// How long the processes of a run may take to be gone when it is over.
const GONE_WITHIN: Duration = Duration::from_secs(20);

pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match &arguments.part {
        Some(Part::Worker { order }) => return worker::main(order),
        Some(Part::Upstream { arena, corpus, round, key }) => return herd::upstream::main(arena, corpus, *round, key),
        Some(Part::Witness { apart }) => return secrets::witness::main(apart),
        None => {}
    }
    if arguments.list_sabotage {
        return list_sabotage();
    }
    match stress(&arguments) {
        Ok(code) => code,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "error: {}", chain(&failure));
            ExitCode::from(2)
        }
    }
}

fn list_sabotage() -> ExitCode {
    let mut text = String::new();
    for name in Sabotage::value_variants().iter().filter_map(Sabotage::to_possible_value) {
        let _ = writeln!(text, "{}", name.get_name());
    }
    print(&text)
}

/// A reader that has gone does not want the rest.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    }
}

fn stress(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let sabotage = match &arguments.sabotage {
        None => None,
        Some(name) => match Sabotage::from_str(name, false) {
            Ok(sabotage) => Some(sabotage),
            Err(_) => return Err(format!("there is no {name:?}; --list-sabotage lists them")).doing("sabotage"),
        },
    };
    let parent = arguments.folder.clone().map_or_else(place, Ok)?;
    let mut scratch = Scratch::new(&parent)?;
    let stage = set(arguments, sabotage, scratch.path().to_owned())?;
    let played = play(&stage, arguments.only);
    judge_end(&stage);
    let report = Report::of(&stage, replay(&stage, arguments));
    if let Some(path) = &arguments.report {
        report.write(path)?;
    }
    let violated = stage.tally.is_violated();
    if violated || played.is_err() {
        let _ = writeln!(std::io::stderr(), "kept for a look: {}", scratch.keep());
    }
    played?;
    let mut text = report.text();
    if sabotage.is_some() {
        let _ = writeln!(text, "the broken part was {}", if violated { "caught" } else { "not caught" });
    }
    let printed = print(&text);
    Ok(match stage.interrupt.signal() {
        Some(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        None if violated => ExitCode::from(1),
        None => printed,
    })
}

fn set(arguments: &Arguments, sabotage: Option<Sabotage>, folder: Utf8PathBuf) -> Result<Stage, Failure> {
    let interrupt = Interrupt::listen()?;
    let program = std::env::current_exe().doing("find this program")?;
    let program =
        Utf8PathBuf::from_path_buf(program).map_err(|_| "its path is not UTF-8").doing("find this program")?;
    let beside = program.with_file_name("larder");
    let larder = arguments.larder.clone().or_else(|| beside.is_file().then_some(beside));
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => larder_system::unique().doing("draw a seed")?,
    };
    let corpus = Corpus::collect();
    corpus.write(&folder.join("corpus"))?;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    Ok(Stage {
        folder,
        seed,
        processes: arguments.processes,
        duration: arguments.duration.0,
        sabotage,
        corpus,
        program,
        larder,
        tally: Tally::default(),
        interrupt,
        clock,
        began,
        stops_at_first: sabotage.is_some(),
        workers: AtomicU32::new(0),
    })
}

/// All scenes at once: each is trouble for the others.
fn play(stage: &Stage, only: Option<Scene>) -> Result<(), Failure> {
    orphans::adopt();
    let wanted = |scene| only.is_none_or(|only| only == scene);
    let scenes: [(Scene, Play); 8] = [
        (Scene::Storm, storm::run),
        (Scene::Herd, herd::run),
        (Scene::Locks, locks::run),
        (Scene::Outage, outage::run),
        (Scene::Queue, queue::run),
        (Scene::Bounds, bounds::run),
        (Scene::Secrets, secrets::run),
        (Scene::Hostile, hostile::run),
    ];
    let running = AtomicU32::new(1);
    let running = &running;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (_, play) in scenes.into_iter().filter(|(scene, _)| wanted(*scene)) {
            running.fetch_add(1, Ordering::AcqRel);
            threads.push(scope.spawn(move || {
                let played = play(stage);
                running.fetch_sub(1, Ordering::AcqRel);
                played
            }));
        }
        running.fetch_sub(1, Ordering::AcqRel);
        progress::show(stage, || running.load(Ordering::Acquire) == 0);
        let ended =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("it panicked").doing("run a scene")));
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Nobody is left of all the processes of the run, nor of those that they have started.
fn judge_end(stage: &Stage) {
    let left = orphans::wait(&stage.clock, GONE_WITHIN);
    let wrong = (!left.is_empty()).then(|| format!("still running: {}", left.join(", ")));
    stage.judge(Promise::Clean, "the end of the run", "processes", "every process is gone", wrong);
}

/// Where runs make their folders: beside this program, which is on a disk with room to build.
fn place() -> Result<Utf8PathBuf, Failure> {
    let program = std::env::current_exe().doing("find this program")?;
    let target = program.parent().and_then(std::path::Path::parent).map(std::path::Path::to_owned);
    let target = target.and_then(|target| Utf8PathBuf::from_path_buf(target).ok());
    Ok(target.ok_or("this program is in no folder").doing("find a place for the run")?.join("tmp"))
}

/// The command that makes the same choices again.
fn replay(stage: &Stage, arguments: &Arguments) -> String {
    let mut command = format!(
        "cargo xtask stress --seed {:#x} --processes {} --duration {}ms",
        stage.seed,
        stage.processes,
        stage.duration.as_millis()
    );
    if let Some(scene) = arguments.only.and_then(|scene| scene.to_possible_value()) {
        let _ = write!(command, " --only {}", scene.get_name());
    }
    if let Some(name) = &arguments.sabotage {
        let _ = write!(command, " --sabotage {name}");
    }
    command
}
