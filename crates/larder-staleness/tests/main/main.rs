//! scratch file for probing
use larder_staleness::*;
#[test]
fn probe() {
    for t in ["Sunday, 06-Nov-94 08:49:37 GMT","Sun Nov  6 08:49:37 1994","Mon Nov  6 08:49:37 1994","Sun Nov 16 08:49:37 1994","Sunday, 06-Nov-94 08:49:37 EST","0","","1994-11-06","1994-11-06T08:49:37","1994-11-06T08:49:37+00:00Z","Mon, 06 Nov 1994 08:49:37 GMT","Sun, 06 Nov 94 08:49:37 GMT","1994-11-06T08:49:37.5Z","1994-11-06T08:49:37Z[Europe/Berlin]","1969-12-31T23:59:59.999Z","-009999-01-02T01:59:59Z","9999-12-30T22:00:00.999999999Z","9999-12-31T23:59:59Z", "Sun, 06 Nov 1994 08:49:37 +0100", "Sun Nov 6 08:49:37 1994", "19941106T084937Z", "1994-11-06 08:49:37Z","1994-11-06T08:49:60Z","Fri Dec 31 23:59:59 9999", "1994-11-06T08:49:37+01:00"] {
        eprintln!("{t:?} -> {:?}", parse_date(t).map(|t| format_date(ms_of(t))));
    }
    eprintln!("{}", format_date(253402207200999));
    eprintln!("{}", format_date(253402300799999));
    eprintln!("{}", format_date(0));
    eprintln!("{:?}", serde_json::to_string(&Life::default()));
}
