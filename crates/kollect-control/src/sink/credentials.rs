//! The Secrets of a sink, and whether it may use them.
//!
//! A reference to another namespace gets one answer for a Secret that does not exist, cannot be read or does not agree,
//! so that no author of a sink learns which Secrets there are.

use super::Unusable;
use super::decide::Fault;
use crate::control::Control;
use crate::kinds::{NamespacedName, ObjectRef};
use crate::registry::{SecretBundle, SinkObject};
use crate::shared::secrets::{SecretState, StoredSecret};
use kollect_export::Class;
use kollect_rules::SecretAgreement;
use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;

/// The Secrets of a sink.
pub(super) struct Resolved {
    pub(super) bundle: SecretBundle,
    /// Those of other namespaces, with what they agree to.
    pub(super) foreign: Vec<(Need, SecretAgreement)>,
}

/// A reference to a Secret.
pub(super) struct Need {
    field: &'static str,
    secret: NamespacedName,
    /// Namespace of the sink.
    user: Arc<str>,
}

fn fault(class: Class, message: String) -> Unusable {
    Unusable::Fault { class, fault: Fault { reason: "SecretResolveFailed", message } }
}

impl Need {
    fn is_foreign(&self) -> bool {
        self.secret.namespace != self.user
    }

    /// The one answer about a Secret of another namespace.
    pub(super) fn refused(&self) -> Unusable {
        let Self { field, secret, user } = self;
        fault(
            Class::Terminal,
            format!(
                "{field}: Secret {secret} does not exist or does not agree to be used here; its owner agrees with the \
                 annotations kollect.dev/allowed-namespaces and kollect.dev/allowed-hosts, which name namespace {user} \
                 and every host of the sink"
            ),
        )
    }
}

impl Control {
    /// Reads the Secrets of a sink, if it may use them.
    pub(super) fn resolve(
        &self,
        object: &ObjectRef,
        sink: &SinkObject,
        hash: &mut DefaultHasher,
    ) -> Result<Resolved, Unusable> {
        let mut needs = Vec::new();
        for need in self.registry.secrets(sink) {
            let namespace = need.namespace.as_deref().filter(|ns| !ns.is_empty()).unwrap_or(&object.namespace);
            let secret = NamespacedName::new(namespace, &need.name);
            let need = Need { field: need.field, secret, user: object.namespace.clone() };
            if let Err(refusal) = self.may_refer(&need) {
                self.secrets.bind(object, &[]);
                return Err(refusal);
            }
            needs.push(need);
        }
        let names: Vec<_> = needs.iter().map(|need| need.secret.clone()).collect();
        self.secrets.bind(object, &names);
        let mut resolved = Resolved { bundle: SecretBundle::new(), foreign: Vec::new() };
        for need in needs {
            let stored = self.stored(&need)?;
            stored.data.hash(hash);
            resolved.bundle.insert(need.field, stored.data);
            if need.is_foreign() {
                stored.agreement.hash(hash);
                resolved.foreign.push((need, stored.agreement));
            }
        }
        Ok(resolved)
    }

    fn stored(&self, need: &Need) -> Result<StoredSecret, Unusable> {
        let Need { field, secret, user } = need;
        let own_token =
            |stored: &StoredSecret| stored.is_account_token && *secret.namespace == *self.settings.operator_namespace;
        match self.secrets.state(secret) {
            SecretState::Unread => Err(Unusable::Waiting),
            SecretState::Present(stored) if need.is_foreign() => {
                if own_token(&stored) || !stored.agreement.allows_namespace(user) {
                    return Err(need.refused());
                }
                Ok(stored)
            }
            SecretState::Missing | SecretState::Denied(_) if need.is_foreign() => Err(need.refused()),
            SecretState::Present(stored) if own_token(&stored) => {
                let why =
                    format!("{field}: Secret {secret} is a token of the operator's namespace; no sink may use it");
                Err(fault(Class::Terminal, why))
            }
            SecretState::Present(stored) => Ok(stored),
            SecretState::Missing => {
                let why = format!("{field}: Secret {secret} does not exist; create it or correct the reference");
                Err(fault(Class::Terminal, why))
            }
            SecretState::Denied(why) => Err(fault(Class::Forbidden, format!("{field}: {why}"))),
        }
    }

    /// Which Secrets a sink may name at all, before any is read.
    fn may_refer(&self, need: &Need) -> Result<(), Unusable> {
        let (settings, secret) = (&self.settings, &need.secret);
        let field = need.field;
        if *secret.namespace == *settings.operator_namespace
            && settings.own_secrets.iter().any(|own| **own == *secret.name)
        {
            let why = format!("{field}: Secret {} belongs to the operator itself; no sink may use it", secret.name);
            return Err(fault(Class::Terminal, why));
        }
        let open = *secret.namespace == *settings.operator_namespace
            || settings.allowed_secret_namespaces.iter().any(|ns| **ns == *secret.namespace);
        if !need.is_foreign() || open {
            return Ok(());
        }
        let (user, namespace) = (&need.user, &secret.namespace);
        let why = format!(
            "{field}: a sink of namespace {user} may not use Secrets of namespace {namespace}; move the Secret next to \
             the sink, or allow the namespace with --allowed-secret-namespaces"
        );
        Err(fault(Class::Terminal, why))
    }
}
