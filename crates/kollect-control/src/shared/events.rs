//! Kubernetes events, recorded when the state of an object changes.

use crate::shared::conditions::cut;
use k8s_openapi::api::core::v1::ObjectReference;
use kollect_model::Reason;
use kollect_resources::kinds::ObjectRef;
use kollect_resources::supervise;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The API server refuses longer notes.
const LONGEST_NOTE: usize = 1024;
/// Events are best effort: when the API server is slow, further ones are dropped and logged.
const QUEUE: usize = 256;
/// Different notes whose repetitions are counted.
const MAX_NOTES: usize = 512;

/// An event to record.
#[derive(Clone, Debug)]
pub struct EventNote {
    /// The object it is about.
    pub about: ObjectRef,
    /// The object's UID.
    pub uid: Option<String>,
    /// Something is wrong.
    pub warning: bool,
    /// Why.
    pub reason: Reason,
    /// Short sentence for people.
    pub message: String,
}

/// Hands events to the task that records them. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<EventNote>,
}

impl Events {
    /// Starts the recording task, which ends with `stop`.
    pub fn start(client: kube::Client, instance: &str, stop: CancellationToken) -> Self {
        let (queue, mut notes) = mpsc::channel::<EventNote>(QUEUE);
        let reporter = Reporter { controller: "kollect.dev/operator".to_owned(), instance: Some(instance.to_owned()) };
        let mut recorders = Recorders { client, reporter, by_note: HashMap::new() };
        tokio::spawn(async move {
            loop {
                let note = tokio::select! {
                    () = stop.cancelled() => return,
                    note = notes.recv() => match note { Some(note) => note, None => return },
                };
                let about = reference(&note);
                let text = cut(&note.message, LONGEST_NOTE);
                let recorder = recorders.of(&text);
                let event = Event {
                    type_: if note.warning { EventType::Warning } else { EventType::Normal },
                    reason: note.reason.to_string(),
                    note: Some(text.clone()),
                    action: "Reconcile".to_owned(),
                    secondary: None,
                };
                let request = tokio::time::timeout(Duration::from_secs(10), recorder.publish(&event, &about));
                match supervise::caught(request).await {
                    Ok(Ok(Ok(()))) => {}
                    Ok(Ok(Err(error))) => tracing::debug!(%error, "event not recorded"),
                    Ok(Err(_)) => tracing::debug!("event not recorded: the API server did not answer in 10 s"),
                    Err(error) => tracing::error!(%error, "event not recorded"),
                }
            }
        });
        Self { queue }
    }

    /// Records an event soon.
    pub fn record(&self, note: EventNote) {
        if self.queue.try_send(note).is_err() {
            tracing::debug!("event dropped: too many are waiting for the API server");
        }
    }
}

/// A recorder counts all events of one object and reason as one and keeps the note of the first: a second message would
/// be lost. So each note has a recorder of its own, which counts its repetitions.
struct Recorders {
    client: kube::Client,
    reporter: Reporter,
    by_note: HashMap<String, Recorder>,
}

impl Recorders {
    fn of(&mut self, note: &str) -> Recorder {
        if self.by_note.len() >= MAX_NOTES && !self.by_note.contains_key(note) {
            // What is repeated later becomes a new event.
            self.by_note.clear();
        }
        let make = || Recorder::new(self.client.clone(), self.reporter.clone());
        self.by_note.entry(note.to_owned()).or_insert_with(make).clone()
    }
}

fn reference(note: &EventNote) -> ObjectReference {
    ObjectReference {
        api_version: Some("kollect.dev/v1alpha1".to_owned()),
        kind: Some(note.about.kind.name().to_owned()),
        // Events of cluster-scoped objects go into `default`, by the recorder.
        namespace: Some(note.about.namespace.to_string()).filter(|namespace| !namespace.is_empty()),
        name: Some(note.about.name.to_string()),
        uid: note.uid.clone(),
        ..ObjectReference::default()
    }
}
