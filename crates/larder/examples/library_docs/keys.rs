//! The key of the documentation's upstream: found in a stated order, checked, and never blamed for what it cannot help.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use camino::Utf8PathBuf;
use larder_credentials::check::{Advice, Ask, Checker, Probe, Probed, Verdict};
use larder_credentials::{Chain, Form, Link, Name, Secret, Store};

use crate::criteria::{Outcome, check, same};
use crate::place::Place;

const VARIABLE: &str = "CONTEXT7_API_KEY";
const KEY: &str = "ctx7sk-0123456789";

/// The upstream's cheapest call, with what it answers to it.
#[derive(Debug)]
struct Upstream {
    answer: Probed,
    calls: AtomicUsize,
}

impl Probe for Upstream {
    fn label(&self) -> String {
        "resolve a library".to_owned()
    }

    fn probe(&self, secret: &Secret, _deadline: Duration) -> Probed {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if secret.expose() == KEY { self.answer.clone() } else { Probed::Refused { status: 401, expired: false } }
    }
}

fn upstream(answer: Probed) -> Arc<Upstream> {
    Arc::new(Upstream { answer, calls: AtomicUsize::new(0) })
}

/// The variable, then the file; what is in the variable is told, so that this process's own environment stays out of it.
fn checker(folder: &Utf8PathBuf, variable: Option<&'static str>, upstream: &Arc<Upstream>) -> Checker {
    let environment = move |name: &str| variable.filter(|_| name == VARIABLE).map(Into::into);
    let store = Store::at(folder.join("keys/credentials.json"));
    let chain = Chain::new().environment(environment).variable(VARIABLE).store(store);
    let form = Form { prefix: Some("ctx7sk".to_owned()), ..Form::default() };
    let advice = Advice::new("knowledge-base").set_command("knowledge-base key set");
    let probe: Arc<dyn Probe> = Arc::clone(upstream) as Arc<dyn Probe>;
    Checker::new(chain, advice).form(form).probe(probe).memory(folder.join("keys/verdicts.json"))
}

pub(crate) async fn judged(place: &Place) -> Outcome<String> {
    let folder = place.scratch.utf8_path().join("keys-of-it");
    let (name, good): (Name, _) = ("context7".parse()?, upstream(Probed::Accepted));
    let mut texts = Vec::new();
    let mut report = |checker: &Checker, ask| {
        let report = checker.check(&name, ask)?;
        texts.push(report.to_string());
        Ok::<_, crate::criteria::Error>(report)
    };
    let missing = report(&checker(&folder, None, &good), Ask::IfNotRemembered)?;
    same("without a key", missing.verdict, Verdict::Missing)?;
    let steps: Vec<_> = missing.remedies.iter().map(|remedy| remedy.text.clone()).collect();
    for step in [&format!("export {VARIABLE}"), "CI", "knowledge-base key set context7"] {
        check(steps.iter().any(|text| text.contains(step)), || format!("no step has {step:?}: {steps:?}"))?;
    }
    check(!folder.exists(), || "looking has made something".to_owned())?;
    let malformed = report(&checker(&folder, Some("sk-0123456789"), &good), Ask::Always)?;
    check(matches!(malformed.verdict, Verdict::Malformed(_)), || format!("{:?}", malformed.verdict))?;
    same("calls for keys that cannot be right", good.calls.load(Ordering::Relaxed), 0)?;
    let refused = report(&checker(&folder, Some("ctx7sk-other"), &good), Ask::Always)?;
    same("a key that is refused", refused.verdict, Verdict::Invalid { status: 401 })?;

    Store::at(folder.join("keys/credentials.json")).set(&name, &Secret::new(KEY)?)?;
    let valid = report(&checker(&folder, None, &good), Ask::IfNotRemembered)?;
    check(matches!(valid.verdict, Verdict::Valid { remembered: false, .. }), || format!("{:?}", valid.verdict))?;
    let source = valid.found.map(|origin| origin.link);
    check(matches!(source, Some(Link::File { .. })), || format!("found in {source:?}"))?;
    let again = report(&checker(&folder, None, &good), Ask::IfNotRemembered)?;
    check(matches!(again.verdict, Verdict::Valid { remembered: true, .. }), || format!("{:?}", again.verdict))?;
    same("calls for good and refused keys", good.calls.load(Ordering::Relaxed), 2)?;
    for answer in [
        Probed::RateLimited { retry_after: Some(Duration::from_secs(60)) },
        Probed::Unreachable { cause: "no route".to_owned() },
    ] {
        let report = report(&checker(&folder, None, &upstream(answer)), Ask::Always)?;
        check(!report.verdict.is_bad(), || format!("an outage is blamed on the key: {:?}", report.verdict))?;
    }
    check(texts.iter().all(|text| !text.contains("0123456789")), || "a report shows a key".to_owned())?;
    texts.sort();
    texts.dedup();
    same("different reports", texts.len(), 7)?;
    Ok("7 reports, each its own; 2 calls; no key in any of them".to_owned())
}
