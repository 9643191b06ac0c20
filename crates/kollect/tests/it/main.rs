//! The operator as users run it: a process under its own ServiceAccount, against a real API server, Git and PostgreSQL.

mod crash;
mod isolation;
mod leader;
mod lifecycle;
mod outage;
mod restart;
mod secrets;
mod stage;
mod world;
