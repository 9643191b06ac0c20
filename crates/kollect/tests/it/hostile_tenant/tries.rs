//! The table of tries: what the tenant applies, and the reason of its refusal in each mode.

use super::{Mode, TENANT};
use kollect_testkit::scene;
use serde_json::{Value, json};

/// How a try ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// `Ready=False` with this reason.
    Reason(&'static str),
    /// It works, for the tenant's own namespace only.
    OwnNamespaceOnly,
    /// The CRD does not take it.
    Api,
}

use Expected::{Api, OwnNamespaceOnly as Own, Reason};

/// One try.
pub(super) struct Try {
    pub(super) name: String,
    /// What is applied. The last one shows the refusal.
    pub(super) objects: Vec<Value>,
    expected: [Expected; 3],
    /// It asks whether a Secret of another namespace exists.
    pub(super) probes_existence: bool,
}

impl Try {
    pub(super) fn expected(&self, mode: Mode) -> Expected {
        self.expected[mode as usize]
    }

    pub(super) fn shown(&self) -> (&str, &str) {
        let last = &self.objects[self.objects.len() - 1];
        (last["kind"].as_str().unwrap_or_default(), last["metadata"]["name"].as_str().unwrap_or_default())
    }
}

/// An object of the tenant.
#[expect(clippy::needless_pass_by_value, reason = "every call makes the spec in place")]
pub(super) fn kollect(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "kollect.dev/v1alpha1", "kind": kind,
        "metadata": {"namespace": TENANT, "name": name}, "spec": spec,
    })
}

/// Secrets of the platform. Some agree to be used, but not so.
pub(super) fn platform_secrets(token: &str, password: &str) -> Vec<Value> {
    let secret = |name: &str, data: &[(&str, &str)], agreed: Value| {
        let mut secret = scene::secret("kollect-system", name, data);
        secret["metadata"]["annotations"] = agreed;
        secret
    };
    let agreed = |namespaces: &str, hosts: &str| json!({"kollect.dev/allowed-namespaces": namespaces, "kollect.dev/allowed-hosts": hosts});
    let dsn = |hosts: &str| format!("postgres://u:{password}@{hosts}/db");
    let by_address = format!("host=a.example hostaddr=203.0.113.9 user=u password={password} dbname=db");
    let ssh = [("ssh-privatekey", token), ("known_hosts", "git.example ssh-ed25519 AAAA")];
    let mut account_token = secret("account-token", &[], json!({"kubernetes.io/service-account.name": "default"}));
    account_token["type"] = json!("kubernetes.io/service-account-token");
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "kollect-system", "name": "default"}}),
        account_token,
        secret("git-creds", &[("token", token)], json!({})),
        secret("dsn", &[("dsn", &dsn("a.example"))], json!({})),
        secret("for-others", &[("token", token)], agreed("others", "attacker.example")),
        secret("for-git", &[("token", token)], agreed(TENANT, "git.example")),
        secret("for-any-host", &[("token", token)], json!({"kollect.dev/allowed-namespaces": TENANT})),
        secret("wildcard", &[("token", token)], agreed(TENANT, "*, *.example, https://attacker.example")),
        secret("ssh", &ssh, agreed(TENANT, "git.example")),
        secret("two-hosts", &[("dsn", &dsn("a.example,b.example"))], agreed(TENANT, "a.example")),
        secret("by-address", &[("dsn", &by_address)], agreed(TENANT, "a.example")),
    ]
}

#[derive(Default)]
struct Table(Vec<Try>);

impl Table {
    fn add(&mut self, name: &str, objects: Vec<Value>, expected: [Expected; 3]) {
        self.0.push(Try { name: name.to_owned(), objects, expected, probes_existence: false });
    }

    fn secrets(&mut self, name: &str, opted_in: bool, path: &str, target: &Value, expected: [Expected; 3]) {
        let mut profile = scene::profile(TENANT, name, "v1", "Secret", &[("d", path)]);
        if opted_in {
            profile["metadata"]["annotations"] = json!({"kollect.dev/allow-secret-extraction": "true"});
        }
        let mut spec = target.clone();
        spec["profileRef"] = json!(name);
        self.add(name, vec![profile, kollect("KollectTarget", name, spec)], expected);
    }

    fn git(&mut self, name: &str, endpoint: &str, more: &Value, expected: Expected) {
        let mut spec = json!({"type": "git", "endpoint": endpoint, "cluster": "c", "connectionTest": false});
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        self.add(name, vec![kollect("KollectSnapshotSink", name, spec)], [expected; 3]);
    }

    fn postgres(&mut self, name: &str, secret: &Value, table: &str, expected: Expected) {
        let spec = json!({
            "type": "postgres", "cluster": "c", "connectionTest": false,
            "postgres": {"databaseRef": secret, "table": table},
        });
        self.add(name, vec![kollect("KollectDatabaseSink", name, spec)], [expected; 3]);
    }
}

pub(super) fn all() -> Vec<Try> {
    let mut table = Table::default();
    secret_objects(&mut table);
    credentials(&mut table);
    addresses(&mut table);
    namespaces(&mut table);
    paths(&mut table);
    table.0
}

fn secret_objects(table: &mut Table) {
    let denied = [Reason("SecretExtractionDenied"); 3];
    let elsewhere = [Reason("ScopeNamespaceDenied"); 3];
    let victim = json!({"includedNamespaces": ["victim"]});
    let by_name = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "victim"}}});
    let guess = json!({
        "includedNamespaces": ["victim"],
        "resourceRules": [{"gvk": {"version": "v1", "kind": "Secret"}, "matchPolicy": "object.data.password != ''"}],
    });
    for (name, path) in [
        ("dotted", "$.data.password"),
        ("joined", r#"cel:object.data.map(k, k + "=" + object.data[k])"#),
        ("whole", "$"),
        ("recursive", "$..password"),
        ("wildcard", "$.*"),
        ("bracket", "$['data']['password']"),
    ] {
        table.secrets(name, true, path, &victim, denied);
    }
    table.secrets("of-the-platform", true, "$.data", &json!({"includedNamespaces": ["kollect-system"]}), denied);
    table.secrets("of-everyone", true, "$.data", &json!({}), denied);
    table.secrets("of-the-own-namespace", true, "$.data", &json!({"includedNamespaces": [TENANT]}), denied);
    table.secrets("by-namespace-selector", true, "$.data", &by_name, denied);
    table.secrets("helm-values", true, "helm:release.config", &victim, denied);
    table.secrets("guessed", false, "$.metadata.name", &guess, elsewhere);
    table.secrets("names", false, "$.metadata.name", &victim, elsewhere);
    table.secrets("helm-summary", false, "helm:release.name", &victim, elsewhere);
    table.secrets("names-by-selector", false, "$.metadata.name", &by_name, [elsewhere[0], elsewhere[1], Own]);
    table.secrets("without-opt-in", false, "$.data.password", &victim, [Reason("InvalidPath"); 3]);
    table.secrets("helm-values-without-opt-in", false, "helm:release.config", &victim, [Reason("InvalidPath"); 3]);
    for (name, api_version, kind) in [("lower-case", "v1", "secret"), ("core-group", "core/v1", "Secret")] {
        let mut profile = scene::profile(TENANT, name, api_version, kind, &[("d", "$.data")]);
        profile["metadata"]["annotations"] = json!({"kollect.dev/allow-secret-extraction": "true"});
        table.add(name, vec![profile, scene::target(TENANT, name, name, &["victim"])], denied);
    }
    let mut copies = scene::profile(TENANT, "copies", "v1", "Secret", &[]);
    copies["metadata"]["annotations"] = json!({"kollect.dev/allow-full-resource-export": "true"});
    copies["spec"]["export"] = json!({"mode": "Resource", "include": "All"});
    table.add("copies", vec![copies, scene::target(TENANT, "copies", "copies", &["victim"])], elsewhere);
}

fn credentials(table: &mut Table) {
    let refused = Reason("SecretResolveFailed");
    let attacker = "https://attacker.example/x.git";
    let of = |name: &str| json!({"secretRef": {"name": name, "namespace": "kollect-system"}});
    for secret in ["git-creds", "no-such-secret", "for-others", "for-any-host", "wildcard", "account-token"] {
        table.git(&format!("use-{secret}"), attacker, &of(secret), refused);
        if let Some(one) = table.0.last_mut() {
            one.probes_existence = true;
        }
    }
    table.git("use-webhook-certificate", attacker, &of("webhook-server-cert"), refused);
    table.git("use-of-victim", attacker, &json!({"secretRef": {"name": "db", "namespace": "victim"}}), refused);
    table.git("auth-of-platform", attacker, &json!({"git": {"auth": of("git-creds")}}), refused);
    let ca = json!({"secretRef": {"name": "own"}, "tls": {"caSecretRef": {"name": "git-creds", "namespace": "kollect-system"}}});
    table.git("ca-of-platform", attacker, &ca, refused);
    for (name, endpoint) in [
        ("other-host", attacker),
        ("other-port", "https://git.example:8443/x.git"),
        ("clear-text", "http://git.example/x.git"),
        ("user-info", "https://git.example@attacker.example/x.git"),
        ("longer-host", "https://git.example.attacker.example/x.git"),
        ("part-of-host", "https://evil-git.example/x.git"),
    ] {
        table.git(name, endpoint, &of("for-git"), refused);
    }
    table.git("other-ssh-host", "ssh://git@attacker.example/x.git", &of("ssh"), refused);
    table.git("other-ssh-port", "ssh://git@git.example:2222/x.git", &of("ssh"), refused);
    for secret in ["dsn", "two-hosts", "by-address", "no-such-dsn"] {
        let reference = json!({"name": secret, "namespace": "kollect-system"});
        table.postgres(&format!("use-{secret}"), &reference, "items", refused);
    }
    table.postgres("use-dsn-of-victim", &json!({"name": "db", "namespace": "victim"}), "items", refused);
}

fn addresses(table: &mut Table) {
    for (n, host) in [
        "169.254.169.254",
        "10.0.0.1",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "168.63.129.16",
        "0.0.0.0",
        "192.0.0.192",
    ]
    .into_iter()
    .enumerate()
    {
        table.git(&format!("address-{n}"), &format!("https://{host}/x.git"), &json!({}), Reason("SinkInvalid"));
    }
    for (n, endpoint) in
        ["file:///var/cache/kollect/git", "git://git.example/x.git", "ext::sh -c id"].iter().enumerate()
    {
        table.git(&format!("scheme-{n}"), endpoint, &json!({}), Reason("SinkInvalid"));
    }
}

fn namespaces(table: &mut Table) {
    let maps = |name: &str, more: Value| {
        let mut spec = more;
        spec["profileRef"] = json!("maps");
        vec![
            scene::profile(TENANT, "maps", "v1", "ConfigMap", &[("v", "$.data.value")]),
            kollect("KollectTarget", name, spec),
        ]
    };
    let (forbidden, outside) = (Reason("Forbidden"), Reason("ScopeNamespaceDenied"));
    let by_name = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "victim"}}});
    table.add(
        "maps-of-victim",
        maps("maps-of-victim", json!({"includedNamespaces": ["victim"]})),
        [forbidden, outside, outside],
    );
    table.add("maps-by-selector", maps("maps-by-selector", by_name), [forbidden, outside, Own]);
    let reference = kollect("KollectTarget", "profile-of-victim", json!({"profileRef": "victim/maps"}));
    table.add("profile-of-victim", vec![reference], [Api; 3]);
    let sink = json!({"databaseSinkRefs": [{"name": "pg", "namespace": "victim"}]});
    table.add("sink-of-victim", vec![kollect("KollectInventory", "sink-of-victim", sink)], [Reason("InvalidSpec"); 3]);
}

fn paths(table: &mut Table) {
    let git = "https://git.example/x.git";
    for (n, template) in
        ["../../{namespace}/{name}", "/etc/{name}", ".git/config", ".kollect/{name}"].iter().enumerate()
    {
        table.git(&format!("path-{n}"), git, &json!({"pathTemplate": template}), Api);
        let layout = json!({"layout": {"mode": "perResource", "pathTemplate": template}});
        let by_the_crd = if template.starts_with(".kollect") { Reason("SinkInvalid") } else { Api };
        table.git(&format!("row-path-{n}"), git, &layout, by_the_crd);
    }
    for (n, branch) in ["../../x", "refs/heads/x", "-x", "a..b"].iter().enumerate() {
        table.git(&format!("branch-{n}"), git, &json!({"git": {"branch": branch}}), Api);
    }
    table.postgres("writer-table", &json!({"name": "own"}), "kollect_writer", Reason("SinkInvalid"));
}
