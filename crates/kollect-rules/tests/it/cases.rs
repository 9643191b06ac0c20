//! Every case of `tests/cases`.

use crate::case::all;

#[test]
fn every_case_gets_its_verdict() {
    let failing: Vec<String> =
        all().iter().filter_map(|case| Some(format!("{}\n    {}", case.name, case.complaint()?))).collect();
    assert!(failing.is_empty(), "{} cases fail:\n{}", failing.len(), failing.join("\n"));
}
