"""AdminService, one desk for each kind of thing: message in, service call, message out."""
