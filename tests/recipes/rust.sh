# shellcheck shell=sh
# needs: cargo rustc cc
# What another thread's fork does by chance is done by a program of its own here: it holds the program that the test has just written.
prepare() {
    mkdir src
    printf '[package]\nname = "deploy"\nversion = "0.1.0"\nedition = "2021"\n' >Cargo.toml
    cat >src/lib.rs <<'END'
#[test]
fn starts_what_it_wrote() {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, thread, time::Duration};
    fs::write("tool", fs::read("service").unwrap()).unwrap();
    fs::set_permissions("tool", fs::Permissions::from_mode(0o755)).unwrap();
    Command::new("/opt/recipe/hold").arg("tool").spawn().unwrap();
    while !Path::new("tool.held").exists() {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("./tool").arg("once").status().unwrap().success());
}
END
}

check() {
    logged '"event":"wait".*"outcome":"succeeded"'
}
