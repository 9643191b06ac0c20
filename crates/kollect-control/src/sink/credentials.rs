//! The Secrets of a sink, and whether it may use them. Pure.
//!
//! A reference to another namespace gets one answer for a Secret that does not exist, cannot be read or does not agree,
//! so that no author of a sink learns which Secrets there are.

use super::decide::{SinkFault, Unusable};
use crate::context::ControlSettings;
use crate::shared::secrets::{SecretState, StoredSecret};
use kollect_export::Class;
use kollect_model::Reason;
use kollect_resources::kinds::NamespacedName;
use kollect_resources::registry::SecretBundle;
use kollect_rules::SecretAgreement;
use kollect_spec::SecretRef;
use std::hash::{DefaultHasher, Hash};
use std::sync::Arc;

/// The Secrets of a sink.
pub(super) struct ResolvedSecrets<'a> {
    pub(super) bundle: SecretBundle,
    /// Those of other namespaces, with what they agree to.
    pub(super) foreign: Vec<(&'a SecretUse, &'a SecretAgreement)>,
}

/// A reference of a sink to a Secret.
pub(super) struct SecretUse {
    field: &'static str,
    pub(super) secret: NamespacedName,
    /// Namespace of the sink.
    user: Arc<str>,
}

fn fault(class: Class, message: String) -> Unusable {
    Unusable::Fault { class, fault: SinkFault { reason: Reason::SecretResolveFailed, message } }
}

/// The content of the Secrets, if the sink may use it.
pub(super) fn resolve<'a>(
    secrets: &'a [(SecretUse, SecretState)],
    settings: &ControlSettings,
    hash: &mut DefaultHasher,
) -> Result<ResolvedSecrets<'a>, Unusable> {
    let mut resolved = ResolvedSecrets { bundle: SecretBundle::new(), foreign: Vec::new() };
    for (used, state) in secrets {
        let stored = used.stored(state, settings)?;
        stored.data.hash(hash);
        resolved.bundle.insert(used.field, stored.data.clone());
        if used.is_foreign() {
            stored.agreement.hash(hash);
            resolved.foreign.push((used, &stored.agreement));
        }
    }
    Ok(resolved)
}

impl SecretUse {
    pub(super) fn of(need: &SecretRef, user: &Arc<str>) -> Self {
        let namespace = need.namespace.as_deref().filter(|ns| !ns.is_empty()).unwrap_or(user);
        Self { field: need.field, secret: NamespacedName::new(namespace, &need.name), user: user.clone() }
    }

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

    fn stored<'a>(&self, state: &'a SecretState, settings: &ControlSettings) -> Result<&'a StoredSecret, Unusable> {
        let Self { field, secret, user } = self;
        let own_token =
            |stored: &StoredSecret| stored.is_account_token && *secret.namespace == *settings.policy.operator_namespace;
        match state {
            SecretState::Unread => Err(Unusable::Waiting),
            SecretState::Present(stored) if self.is_foreign() => {
                if own_token(stored) || !stored.agreement.allows_namespace(user) {
                    return Err(self.refused());
                }
                Ok(stored)
            }
            SecretState::Missing | SecretState::Denied(_) if self.is_foreign() => Err(self.refused()),
            SecretState::Present(stored) if own_token(stored) => {
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
    pub(super) fn check_reference(&self, settings: &ControlSettings) -> Result<(), Unusable> {
        let Self { field, secret, user } = self;
        let operator_namespace = &*settings.policy.operator_namespace;
        if *secret.namespace == *operator_namespace
            && settings.policy.own_secrets.iter().any(|own| **own == *secret.name)
        {
            let why = format!("{field}: Secret {} belongs to the operator itself; no sink may use it", secret.name);
            return Err(fault(Class::Terminal, why));
        }
        let open = *secret.namespace == *operator_namespace
            || settings.allowed_secret_namespaces.iter().any(|ns| **ns == *secret.namespace);
        if !self.is_foreign() || open {
            return Ok(());
        }
        let namespace = &secret.namespace;
        let why = format!(
            "{field}: a sink of namespace {user} may not use Secrets of namespace {namespace}; move the Secret next to \
             the sink, or allow the namespace with --allowed-secret-namespaces"
        );
        Err(fault(Class::Terminal, why))
    }
}
