//! Lets the program put its own barrier in the place of ggml's, where the linker can do that.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(own_barrier)");
    // GNU ld and lld both do; the first definition of a name is the program's.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cfg=own_barrier");
        println!("cargo:rustc-link-arg-bins=-Wl,-z,muldefs");
        println!("cargo:rustc-link-arg-bins=-Wl,--wrap=ggml_graph_compute");
    }
}
