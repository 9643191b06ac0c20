//! Commit messages: subject, body and trailers from templates.
//!
//! Placeholders are replaced in one pass, so a value in the form of a placeholder is not replaced. Unknown placeholders
//! stay literal.

/// Default subject.
pub const DEFAULT_SUBJECT: &str = "chore({cluster}/{namespace}/{name}): export {itemCount} items @ {checksumShort}";

/// Templates of a commit message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CommitTemplates {
    /// `git.commitMessage`.
    pub subject: String,
    /// `git.commitBody`.
    pub body: Option<String>,
    /// `git.commitTrailers`, e.g. `Kollect-Cycle: {cycle}`.
    pub trailers: Vec<String>,
}

impl Default for CommitTemplates {
    fn default() -> Self {
        Self { subject: DEFAULT_SUBJECT.to_owned(), body: None, trailers: Vec::new() }
    }
}

/// Author and committer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Author {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

impl Default for Author {
    fn default() -> Self {
        Self { name: "kollect".to_owned(), email: "kollect@kollect.dev".to_owned() }
    }
}

/// Values of the placeholders.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommitFacts<'a> {
    /// `{cluster}`; empty renders as `default`.
    pub cluster: &'a str,
    /// `{namespace}` of the inventory.
    pub namespace: &'a str,
    /// `{name}` of the inventory.
    pub name: &'a str,
    /// `{generation}` and `{exportGeneration}`.
    pub generation: i64,
    /// `{itemCount}`
    pub item_count: u64,
    /// `{checksum}` and `{checksumShort}` (12 digits)
    pub checksum: &'a str,
    /// `{exportedAt}`, RFC 3339 UTC; a fraction of a second is dropped.
    pub exported_at: &'a str,
    /// `{sink}`: name of the sink reference.
    pub sink: &'a str,
    /// `{path}` of the document.
    pub path: &'a str,
    /// `{cycle}`: id of the export cycle, as in the log.
    pub cycle: &'a str,
}

impl CommitTemplates {
    /// The whole message: subject, body and one paragraph of trailers, each after an empty line.
    pub fn render(&self, facts: &CommitFacts<'_>) -> String {
        let subject = fill(&self.subject, facts);
        let subject = match subject.trim() {
            "" => fill(DEFAULT_SUBJECT, facts),
            subject => subject.to_owned(),
        };
        let body = self.body.as_deref().map(|body| fill(body, facts));
        // Git reads trailers only from the last paragraph.
        let trailers: Vec<_> = self.trailers.iter().map(|line| fill(line, facts).trim().to_owned()).collect();
        let trailers = trailers.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let mut message = subject;
        for paragraph in [body.as_deref().unwrap_or_default().trim(), &trailers] {
            if !paragraph.is_empty() {
                message.push_str("\n\n");
                message.push_str(paragraph);
            }
        }
        message
    }
}

fn fill(template: &str, facts: &CommitFacts<'_>) -> String {
    let mut text = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        text.push_str(&rest[..open]);
        rest = &rest[open..];
        let value = rest.find('}').and_then(|close| Some((value_of(&rest[1..close], facts)?, close)));
        if let Some((value, close)) = value {
            text.push_str(&value);
            rest = &rest[close + 1..];
        } else {
            text.push('{');
            rest = &rest[1..];
        }
    }
    text.push_str(rest);
    text
}

fn value_of(name: &str, facts: &CommitFacts<'_>) -> Option<String> {
    let checksum = || facts.checksum.strip_prefix("sha256:").unwrap_or(facts.checksum);
    Some(match name {
        "cluster" if facts.cluster.is_empty() => "default".to_owned(),
        "cluster" => facts.cluster.to_owned(),
        "namespace" => facts.namespace.to_owned(),
        "name" => facts.name.to_owned(),
        "generation" | "exportGeneration" => facts.generation.to_string(),
        "itemCount" => facts.item_count.to_string(),
        "checksum" => facts.checksum.to_owned(),
        "checksumShort" => checksum().chars().take(12).collect(),
        "exportedAt" => whole_seconds(facts.exported_at),
        "sink" => facts.sink.to_owned(),
        "path" => facts.path.to_owned(),
        "cycle" => facts.cycle.to_owned(),
        _ => return None,
    })
}

fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKSUM: &str = "31abfdabddbae845525e3497ec639c0089ac6aacf9c7ed6d65cf74c790a97005";

    fn facts() -> CommitFacts<'static> {
        CommitFacts {
            cluster: "eu",
            namespace: "shop",
            name: "daily",
            generation: 4,
            item_count: 2,
            checksum: CHECKSUM,
            exported_at: "2026-03-02T08:15:30.25Z",
            sink: "audit",
            path: "inventory/shop/daily.yaml",
            cycle: "shop/daily:snapshot/audit#7@3",
        }
    }

    #[test]
    fn templates_render_by_the_data_contract() {
        let cases = [
            (DEFAULT_SUBJECT, "chore(eu/shop/daily): export 2 items @ 31abfdabddba"),
            (
                "{sink} g{generation}/{exportGeneration} {path} {unknown}",
                "audit g4/4 inventory/shop/daily.yaml {unknown}",
            ),
            ("{{name}} {name {exportedAt}", "{daily} {name 2026-03-02T08:15:30Z"),
        ];
        for (template, wanted) in cases {
            assert_eq!(fill(template, &facts()), wanted);
        }
        let prefixed = format!("sha256:{CHECKSUM}");
        assert_eq!(fill("{checksumShort}", &CommitFacts { checksum: &prefixed, ..facts() }), "31abfdabddba");
        assert_eq!(fill("{cluster}", &CommitFacts { cluster: "", ..facts() }), "default");
    }

    #[test]
    fn trailers_are_one_paragraph_and_blank_ones_are_dropped() {
        let templates = CommitTemplates {
            subject: "export {name}".into(),
            body: Some("{itemCount} items\n".into()),
            trailers: vec!["Kollect-Cycle: {cycle}".into(), " ".into(), "Sink: {sink}".into()],
        };
        let wanted = "export daily\n\n2 items\n\nKollect-Cycle: shop/daily:snapshot/audit#7@3\nSink: audit";
        assert_eq!(templates.render(&facts()), wanted);
    }

    #[test]
    fn an_empty_subject_falls_back_to_the_default() {
        let templates = CommitTemplates { subject: "  ".into(), ..CommitTemplates::default() };
        assert_eq!(templates.render(&facts()), "chore(eu/shop/daily): export 2 items @ 31abfdabddba");
    }

    #[test]
    fn a_value_in_the_form_of_a_placeholder_is_not_replaced() {
        assert_eq!(fill("{sink}", &CommitFacts { sink: "{name}", ..facts() }), "{name}");
    }
}
