//! Directories as people write them.

use super::*;

const PROFILE: &str = "apiVersion: kollect.dev/v1alpha1\nkind: KollectProfile\nmetadata: {name: maps}\nspec:\n  targetGVK: {version: v1, kind: ConfigMap}\n  attributes: [{name: v, path: $.data.v}]\n";
const TARGET: &str = "apiVersion: kollect.dev/v1alpha1\nkind: KollectTarget\nmetadata: {name: all, namespace: shop}\nspec: {profileRef: maps}\n";

fn load_files(files: &[(&str, &str)]) -> Result<CollectConfig, String> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let env = |name: &str| match name {
        "TOKEN" => Some("from-env".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    load(dir.path(), &env).map_err(|error| error.to_string().replace(&dir.path().display().to_string(), "dir"))
}

fn refused(files: &[(&str, &str)]) -> String {
    load_files(files).err().expect("it was accepted")
}

fn secret(body: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{body}\n")
}

#[test]
fn files_are_read_in_the_order_of_their_names_and_later_objects_win() {
    let other = PROFILE.replace("$.data.v", "$.data.w");
    let strange = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n";
    let both = format!("{PROFILE}---\n{TARGET}---\n{strange}");
    let config =
        load_files(&[("b.yaml", &other), ("a.yml", &both), ("note.txt", "x"), ("c.yaml", "# nothing\n")]).unwrap();
    assert_eq!(config.targets.len(), 1);
    assert_eq!(config.targets[0].title(), "shop/all");
    assert_eq!(config.profiles["maps"].source.spec.attributes[0].path, "$.data.w");
    assert_eq!(
        config.warnings.iter().map(|w| w.rsplit('/').next().unwrap()).collect::<Vec<_>>(),
        ["a.yml, document 3: v1 ConfigMap is not used", "a.yml, document 1"]
    );
}

#[test]
fn json_and_lists_are_read_too() {
    let text = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"kollect.dev/v1alpha1","kind":"KollectTarget","metadata":{"name":"t"},"spec":{"profileRef":"maps"}}]}"#;
    let config = load_files(&[("a.yaml", PROFILE), ("t.json", text)]).unwrap();
    assert_eq!(config.targets[0].title(), "default/t");
}

#[test]
fn errors_name_file_and_document() {
    let two = |second: &str| format!("{PROFILE}---\n{second}");
    for (files, wanted) in [
        (vec![("a.yaml", TARGET.to_owned())], "dir has no KollectProfile"),
        (vec![("a.yaml", PROFILE.to_owned())], "dir has no KollectTarget"),
        (vec![("a.yaml", two("kind: [\n"))], "dir/a.yaml:8:"),
        (
            vec![("a.yaml", two(&TARGET.replace("maps", "other")))],
            "dir/a.yaml, document 2: target shop/all: spec.profileRef",
        ),
        (vec![("a.yaml", two(TARGET)), ("b.yaml", secret("data: {k: '%'}"))], "dir/b.yaml: Secret s, data key k"),
        (
            vec![("a.yaml", two(TARGET)), ("b.yaml", secret("stringData: {k: '${env:NOPE}'}"))],
            "dir/b.yaml: Secret s, key k: the environment variable NOPE",
        ),
        (
            vec![("a.yaml", two(TARGET)), ("b.yaml", secret("stringData: {k: '${env:EMPTY}'}"))],
            "dir/b.yaml: Secret s, key k: the environment variable EMPTY",
        ),
        (vec![("a.yaml", two(TARGET).replace("$.data.v", "'$.data['"))], "dir/a.yaml, document 1: KollectProfile maps"),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let error = refused(&files);
        assert!(error.contains(wanted), "{error}\nlacks {wanted}");
    }
    let error = load(Path::new("no/such/dir"), &|_| None).err().unwrap().to_string();
    assert!(error.contains("cannot read no/such/dir"), "{error}");
}

#[test]
fn secrets_are_overlaid_and_filled_from_the_environment() {
    let text = secret(
        "data: {a: cGxhaW4=, b: cGxhaW4=, c: JHtlbnY6VE9LRU59}\nstringData: {b: over, d: '${env:TOKEN}', e: 'x${env:TOKEN}'}",
    );
    let config = load_files(&[("a.yaml", &format!("{PROFILE}---\n{TARGET}")), ("s.yaml", &text)]).unwrap();
    let data = &config.secrets[&("default".to_owned(), "s".to_owned())];
    let get = |key: &str| std::str::from_utf8(data.get(key).unwrap()).unwrap();
    assert_eq!(
        [get("a"), get("b"), get("c"), get("d"), get("e")],
        ["plain", "over", "from-env", "from-env", "x${env:TOKEN}"]
    );
    assert!(!format!("{data:?}").contains("from-env"));
}
