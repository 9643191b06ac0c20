//! Names of Git's services.

use git2::transport::Service;

/// The service of an action.
pub(super) fn service(action: Service) -> &'static str {
    match action {
        Service::UploadPackLs | Service::UploadPack => "git-upload-pack",
        Service::ReceivePackLs | Service::ReceivePack => "git-receive-pack",
    }
}
