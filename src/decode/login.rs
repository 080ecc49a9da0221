//! What a login looks like in a web log: method, path and status of the routes that a pipeline names. Pure.
//!
//! Deliberately without reading bodies or cookies: the status is the server's own word.

use crate::event::{Event, Login, Number, Text};

use super::settings::LoginRoute;

/// Routes by their method, in the order of the pipeline: nearly every request is of a method that has none.
pub(super) struct Routes {
    methods: Vec<(String, Vec<LoginRoute>)>,
}

impl Routes {
    pub(super) fn new(routes: &[LoginRoute]) -> Routes {
        let mut methods: Vec<(String, Vec<LoginRoute>)> = Vec::new();
        for route in routes {
            match methods.iter_mut().find(|(method, _)| *method == route.method) {
                Some((_, known)) => known.push(route.clone()),
                None => methods.push((route.method.clone(), vec![route.clone()])),
            }
        }
        Routes { methods }
    }
}

/// What a web event says of a login attempt by the first route that fits its method, path and status.
pub(super) fn recognise(routes: &Routes, event: &Event<'_>) -> Option<Login> {
    let method = event.text(Text::HttpMethod)?;
    let (_, routes) = routes.methods.iter().find(|(known, _)| known == method)?;
    let path = event.text(Text::UrlPath)?;
    let status = u16::try_from(event.number(Number::HttpStatus)?).ok()?;
    routes.iter().find_map(|route| {
        if !path_fits(&route.path, path) {
            None
        } else if route.failure.contains(&status) {
            Some(Login::Failure)
        } else if route.success.contains(&status) {
            Some(Login::Success)
        } else {
            None
        }
    })
}

fn path_fits(pattern: &str, path: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (None, None) => path == pattern,
        (Some(end), None) => path.ends_with(end),
        (None, Some(start)) => path.starts_with(start),
        (Some(_), Some(_)) => path.contains(pattern.trim_matches('*')),
    }
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;

    use super::*;

    #[test]
    fn the_first_route_that_fits_decides() {
        let route = |method: &str, path: &str, failure: &[u16], success: &[u16]| LoginRoute {
            method: method.to_owned(),
            path: path.to_owned(),
            failure: failure.to_vec(),
            success: success.to_vec(),
        };
        let routes = [
            route("POST", "/user/login", &[200], &[302]),
            route("POST", "*/login", &[401, 403], &[200]),
            route("GET", "/sso/*", &[403], &[]),
            route("PUT", "*session*", &[401], &[]),
        ];
        let arena = Bump::new();
        for (method, path, status, expected) in [
            ("POST", "/user/login", 200, Some(Login::Failure)),
            ("POST", "/user/login", 302, Some(Login::Success)),
            ("POST", "/user/login", 401, Some(Login::Failure)),
            ("POST", "/login", 200, Some(Login::Success)),
            ("POST", "/login", 500, None),
            ("POST", "/login/", 401, None),
            ("GET", "/login", 401, None),
            ("GET", "/sso/a/b", 403, Some(Login::Failure)),
            ("PUT", "/api/session/1", 401, Some(Login::Failure)),
            ("PUT", "/api", 401, None),
        ] {
            let mut event = Event::new(b"", &arena);
            event.set_text(Text::HttpMethod, method);
            event.set_text(Text::UrlPath, path);
            event.set_number(Number::HttpStatus, status);
            assert_eq!(recognise(&Routes::new(&routes), &event), expected, "{method} {path} {status}");
        }
    }
}
