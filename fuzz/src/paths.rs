//! Paths of rows: no two rows have one, on any file system, and none leads out of the destination.

use crate::targets::Answer;
use kollect_export::InventoryKey;
use kollect_export::encode::{Content, Format};
use kollect_export::layout::{
    Author, CommitTemplates, DEFAULT_DOCUMENT_TEMPLATE, DEFAULT_ROW_TEMPLATE, DocumentSpec, FilenameOptions, Grammar,
    RetainedPaths, Mode, Partitioning, PathFacts, PathTemplate,
};
use kollect_model::{Digest, Gvk, ObjectKey, RowId, TargetKey, Uid};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

pub const SEEDS: &[&str] = &[
    "shop\ncart\nDeployment\napps",
    "\nsystem:node-proxier\nClusterRole\nrbac.authorization.k8s.io",
    "shop\nsh.helm.release.v1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.v1\nSecret\n",
    "shop\nsh.helm.release.v1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.v2\nSecret\n",
    "\nview\nClusterRole\n",
    "\nView\nClusterRole\n",
    "\nsystem-node\nClusterRole\n",
    "aux\ncon.x\nNul\ncom1",
    "..\n.git\nConfigMap\n.kollect",
    "a/b\n../../etc/passwd\nX\nx.io",
];
pub const WORDS: &[&str] = &[
    "/",
    "\\",
    ":",
    ".",
    "..",
    "-",
    "--",
    "_",
    "~1",
    " ",
    "\t",
    "*",
    "?",
    "<",
    ">",
    "|",
    "\"",
    "aux",
    "CON",
    "nul.",
    "com1",
    "lpt9",
    "clock$",
    ".git",
    ".GIT",
    ".kollect",
    "é",
    "e\u{301}",
    "İ",
    "ı",
    "ß",
    "ẞ",
    "K",
    "\u{200d}",
    "\u{202e}",
    "A",
    "a",
    "{",
    "}",
    "{kind}",
    ".json",
    "default",
    "\u{0}",
    "\u{1}",
    "\u{7f}",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Rows whose paths are remembered.
const REMEMBERED: usize = 1 << 18;
const TEMPLATES: [&str; 3] = [
    DEFAULT_ROW_TEMPLATE,
    "{cluster}/{group}/g/{kind}/{sourceNamespace}/n/{sourceName}{extension}",
    "{sourceNamespace}/x/{targetName}/{sourceName}/{kind}.{extension}",
];

/// What has to be the same for two rows to have one path: namespace, name, kind, and where it is in the template, group.
type Identity = [String; 4];

pub fn prepare() -> impl FnMut(&[u8]) -> Answer {
    let mut specs = TEMPLATES.map(|template| (spec(template), HashMap::<String, Identity>::new()));
    let target = Arc::new(TargetKey::namespaced("shop", "target"));
    move |input| {
        let text = String::from_utf8_lossy(input);
        let mut parts = text.splitn(4, '\n');
        let mut part = || parts.next().unwrap_or_default();
        let (namespace, name, kind, group) = (part(), part(), part(), part());
        let mut signature = DefaultHasher::new();
        if name.is_empty() || kind.is_empty() {
            return Answer { accepted: false, signature: 0 };
        }
        let id = RowId { target: target.clone(), uid: Uid::parse("0d1f-02") };
        let gvk = Arc::new(Gvk::new(group, "v1", kind));
        let object = ObjectKey { gvk, namespace: namespace.into(), name: name.into() };
        for (at, (spec, seen)) in specs.iter_mut().enumerate() {
            let path = spec.row_template.render_row(&facts(spec), &id, &object);
            let path = path.unwrap_or_else(|error| panic!("{object:?} has no path: {error}"));
            check_inside(&path);
            for part in [None, Some(namespace)] {
                let lost = RetainedPaths::new(spec, [(&target, part)]);
                assert!(!lost.may_delete(&path), "{path} is not seen as one of the part {part:?}");
            }
            let group = if at == 1 { group } else { "" };
            let identity = [namespace, name, &kind.to_lowercase(), group].map(str::to_owned);
            if seen.len() >= REMEMBERED {
                seen.clear();
            }
            let before = seen.insert(path.to_lowercase(), identity.clone());
            if let Some(before) = before.filter(|before| *before != identity) {
                for (one, other) in before.iter().zip(&identity).filter(|(one, other)| one != other) {
                    let hash = |value: &str| Digest::of(value.as_bytes()).to_string()[..8].to_owned();
                    assert_eq!(hash(one), hash(other), "{before:?} and {identity:?} are both at {path}");
                }
            }
            path.chars().filter(|c| !c.is_alphanumeric()).take(24).collect::<String>().hash(&mut signature);
        }
        Answer { accepted: true, signature: signature.finish() }
    }
}

fn check_inside(path: &str) {
    assert!(!path.contains('\\') && !path.contains(char::is_control), "{path:?}");
    for (at, segment) in path.split('/').enumerate() {
        assert!(!matches!(segment, "" | "." | ".."), "{path:?}");
        let lower = segment.to_lowercase();
        assert!(lower != ".git" && lower != "git~1" && !(at == 0 && lower == ".kollect"), "{path:?}");
        let stem = lower.split('.').next().unwrap_or_default();
        assert!(!matches!(stem, "con" | "prn" | "aux" | "nul" | "com1" | "lpt9" | "clock$"), "{path:?}");
    }
}

fn facts(spec: &DocumentSpec) -> PathFacts<'_> {
    PathFacts {
        cluster: &spec.cluster,
        namespace: &spec.inventory.namespace,
        name: &spec.inventory.name,
        generation: spec.generation,
        extension: spec.format.extension(),
        filename: spec.filename,
    }
}

fn spec(template: &str) -> DocumentSpec {
    let document = PathTemplate::parse(DEFAULT_DOCUMENT_TEMPLATE, Grammar::Document).expect("the template is right");
    DocumentSpec {
        mode: Mode::PerResource,
        content: Content::Item,
        format: Format::Json,
        path_template: document.clone(),
        row_template: PathTemplate::parse(template, Grammar::Row).expect("the template is right"),
        index_template: document,
        filename: FilenameOptions::default(),
        cluster: "".into(),
        inventory: InventoryKey { namespace: "shop".into(), name: "daily".into() },
        generation: 1,
        sink_name: "git".into(),
        max_bytes: 0,
        backend_limit: None,
        partitioning: Partitioning::Auto,
        commit: CommitTemplates::default(),
        author: Author::default(),
    }
}
