//! The texts of the corpus of redaction, and what a hostile text costs.

use super::*;
use serde_json::Value;

fn corpus() -> impl Iterator<Item = Value> {
    include_str!("../../../kollect-extract/tests/redaction.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
}

#[test]
fn texts_of_the_corpus_lose_their_secrets_and_nothing_else() {
    let mut wrong = Vec::new();
    for case in corpus() {
        let Some(given) = case["spec"]["text"].as_str() else { continue };
        let clean = text(given).unwrap_or(Cow::Owned(given.to_owned()));
        let secrets = case["secrets"].as_array();
        let right = match secrets {
            None => clean == given,
            Some(secrets) => {
                let kept =
                    case["kept"].as_array().into_iter().flatten().all(|kept| clean.contains(kept.as_str().unwrap()));
                kept && !secrets.iter().any(|secret| clean.contains(secret.as_str().unwrap()))
            }
        };
        if !right || text(&clean).is_some() {
            wrong.push(format!("{}\n  {given:?}\n  {clean:?}", case["case"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
