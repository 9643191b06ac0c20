//! Reads rows from files of every exported form.
//!
//! Forms: the envelope, a part of one, a bare list, single rows, one JSON value per line, the records of
//! `kollect collect --output -`, YAML sequences and documents, and files that hold the object itself.

use kollect_export::encode::Format;
use kollect_export::encode::decode::read_items;
use kollect_export::layout::missing;
use kollect_manifest::{Documents, ManifestFault, decode, json_values, parse};
use kollect_model::{Item, SCHEMA_VERSION};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// What makes a row the same row in two snapshots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiffKey {
    /// Cluster, when the snapshot names it.
    pub cluster: String,
    /// Target as `namespace/name`.
    pub target: String,
    /// Namespace of the object.
    pub namespace: String,
    /// Group and kind of the object, as `Deployment.apps`.
    pub kind: String,
    /// UID of the object.
    pub uid: String,
}

/// The fields of a row beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFields {
    /// Name of the object.
    pub name: String,
    /// API version.
    pub version: String,
    /// The attributes, as JSON.
    pub attributes: Box<str>,
}

/// All rows of one side.
#[derive(Debug, Default)]
pub struct RowSnapshot {
    /// The rows.
    pub rows: HashMap<DiffKey, RowFields>,
    /// Files that hold no rows, and why not.
    pub skipped: Vec<(String, String)>,
    /// Files that an index or manifest lists and that do not exist, each with the reason.
    pub missing: Vec<(String, String)>,
    /// Rows that came more than once with different content.
    pub repeated: usize,
    /// Files that were read.
    files: BTreeSet<String>,
    /// Lists of files that belong together, and where each was.
    lists: Vec<(String, Vec<String>)>,
}

/// Why a text holds no rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// The outermost members of everything that may be met.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    schema_version: Option<String>,
    #[serde(default)]
    cluster: String,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    envelope: Option<&'a RawValue>,
    context: Option<String>,
    paths: Option<Vec<String>>,
    api_version: Option<String>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

/// Identity of an object that is kept as it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    api_version: String,
    kind: String,
    metadata: Identity,
}

#[derive(Deserialize)]
struct Identity {
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    uid: String,
}

fn unreadable(why: impl Into<String>) -> Unreadable {
    Unreadable(why.into())
}

impl RowSnapshot {
    /// Adds the rows of a file.
    pub fn read(&mut self, path: &str, bytes: &[u8]) -> Result<(), Unreadable> {
        self.files.insert(path.to_owned());
        let lists = self.lists.len();
        let read = self.read_text(path, bytes);
        self.lists[lists..].iter_mut().for_each(|(of, _)| path.clone_into(of));
        read
    }

    fn read_text(&mut self, path: &str, bytes: &[u8]) -> Result<(), Unreadable> {
        let text = decode(bytes).map_err(|fault| unreadable(fault.to_string()))?;
        let text = &*text;
        let yaml = [".yaml", ".yml"].iter().any(|extension| path.ends_with(extension));
        if !yaml && (matches!(text.trim_start().chars().next(), None | Some('{' | '[')) || text.trim() == "null") {
            return self.read_json(text);
        }
        self.read_yaml(text)
    }

    /// One JSON value, or one after the other.
    fn read_json(&mut self, text: &str) -> Result<(), Unreadable> {
        for value in json_values(text).map_err(|fault| unreadable(fault.to_string()))? {
            self.value(&text[value], "")?;
        }
        Ok(())
    }

    fn value(&mut self, json: &str, cluster: &str) -> Result<(), Unreadable> {
        if json == "null" {
            return Ok(());
        }
        if json.starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| unreadable(error.to_string()))?;
            return items.iter().enumerate().try_for_each(|(at, raw)| {
                self.value(raw.get(), cluster).map_err(|Unreadable(why)| unreadable(format!("member {at}: {why}")))
            });
        }
        if let Ok(item) = serde_json::from_str::<Item>(json) {
            self.add(item, cluster);
            return Ok(());
        }
        if let Some((cluster, item)) = super::printed::read(json) {
            self.add(item, &cluster);
            return Ok(());
        }
        let head: Head<'_> = serde_json::from_str(json).map_err(|_| unreadable("it holds no rows"))?;
        let cluster = [head.cluster.as_str(), head.context.as_deref().unwrap_or_default(), cluster]
            .into_iter()
            .find(|name| !name.is_empty())
            .unwrap_or_default();
        match (head.envelope, head.items) {
            (Some(envelope), _) => self.value(envelope.get(), cluster),
            (None, Some(items)) => match head.schema_version.as_deref() {
                None | Some(SCHEMA_VERSION) => self.items(&items, cluster),
                Some(other) => Err(unreadable(format!("unsupported schemaVersion {other:?}"))),
            },
            // An index of files, which the files themselves make up for.
            (None, None) if head.schema_version.is_some() && head.paths.is_some() => {
                self.lists.push((String::new(), head.paths.unwrap_or_default()));
                Ok(())
            }
            (None, None) if head.api_version.is_some() && head.metadata.is_some() => self.manifest(json, cluster),
            (None, None) => Err(unreadable("it holds no rows")),
        }
    }

    /// Whether not one file was found.
    pub fn has_no_files(&self) -> bool {
        self.files.is_empty()
    }

    /// Records the files that an index or manifest lists and that do not exist. One that lists none of the files read
    /// belongs to another folder, and is ignored.
    pub fn note_what_is_missing(&mut self) {
        for (of, paths) in std::mem::take(&mut self.lists) {
            let missing: Vec<&String> = missing(&paths, &self.files).collect();
            if missing.len() < paths.len() {
                let why = format!("{of} lists it as part of the snapshot");
                self.missing.extend(missing.into_iter().map(|path| (path.clone(), why.clone())));
            }
        }
    }

    fn items(&mut self, items: &[&RawValue], cluster: &str) -> Result<(), Unreadable> {
        for (at, raw) in items.iter().enumerate() {
            let item = serde_json::from_str(raw.get())
                .map_err(|error| unreadable(format!("member {at} of its items is no row: {error}")))?;
            self.add(item, cluster);
        }
        Ok(())
    }

    /// An object that is kept as it is, instead of a row about it.
    fn manifest(&mut self, json: &str, cluster: &str) -> Result<(), Unreadable> {
        let manifest: Manifest = serde_json::from_str(json).map_err(|_| unreadable("it holds no rows"))?;
        let (group, version) = manifest.api_version.rsplit_once('/').unwrap_or(("", &manifest.api_version));
        let Identity { name, namespace, uid } = manifest.metadata;
        let uid = if uid.is_empty() { name.clone() } else { uid };
        let key = DiffKey {
            cluster: cluster.to_owned(),
            target: String::new(),
            namespace,
            kind: kind(group, &manifest.kind),
            uid,
        };
        self.insert(key, RowFields { name, version: version.to_owned(), attributes: json.into() });
        Ok(())
    }

    fn read_yaml(&mut self, text: &str) -> Result<(), Unreadable> {
        for document in Documents::new(text.as_bytes()) {
            let document = document.map_err(|error| unreadable(error.to_string()))?;
            let before = document.lines_before;
            let located =
                |fault: ManifestFault| unreadable(format!("line {}: {}", before + fault.place.line, fault.what));
            let document = document.text.map_err(located)?;
            let begins = |line: &&str| !line.trim().is_empty() && !line.starts_with('#') && line.trim_end() != "---";
            let Some(begin) = document.lines().find(begins) else { continue };
            if begin.starts_with("- ") {
                let rows = &mut *self;
                let members = document.trim_start_matches("---").trim_start_matches(['\r', '\n']);
                read_items(members.as_bytes(), Format::Yaml, &mut |item| rows.add(item, ""))
                    .map_err(|error| unreadable(error.to_string()))?;
            } else {
                let value = parse(&document).map_err(located)?;
                self.value(&value.to_string(), "")?;
            }
        }
        Ok(())
    }

    fn add(&mut self, item: Item, cluster: &str) {
        let key = DiffKey {
            cluster: cluster.to_owned(),
            target: format!("{}/{}", item.target_namespace, item.target_name),
            namespace: item.namespace,
            kind: kind(&item.group, &item.kind),
            uid: item.uid,
        };
        let attributes = item.attributes.get().into();
        self.insert(key, RowFields { name: item.name, version: item.version, attributes });
    }

    fn insert(&mut self, key: DiffKey, row: RowFields) {
        match self.rows.entry(key) {
            Entry::Occupied(mut place) => {
                self.repeated += usize::from(*place.get() != row);
                place.insert(row);
            }
            Entry::Vacant(place) => {
                place.insert(row);
            }
        }
    }
}

fn kind(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}
