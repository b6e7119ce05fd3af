//! llama.cpp's context, with threads of its own.
//!
//! llama-cpp-2 keeps its context's pointer to itself, and threads can only be attached through it. Without attached
//! threads llama.cpp starts new ones for each decode and leaves it to the system where they run; ggml's barriers spin,
//! so two threads that end up on one CPU wait a whole time slice for each other, hundreds of times a token.

mod state;

use super::super::cpu;
use super::kernels::Threads;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::{marker::PhantomData, ptr::NonNull};

/// How a context is made.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Its length in tokens.
    pub n_ctx: u32,
    /// The most tokens in one decode.
    pub n_batch: u32,
    /// The most tokens that are computed together.
    pub n_ubatch: u32,
    /// The threads that compute.
    pub threads: usize,
    /// Whether they stay between decodes, each on a CPU of its own.
    pub keep_threads: bool,
    /// The type of the KV cache, ggml's number.
    pub kv_type: u32,
    /// Whether attention is computed by the kernel that keeps no table of scores.
    pub flash_attention: bool,
}

/// A context of one sequence.
pub struct Context<'m> {
    raw: NonNull<sys::llama_context>,
    batch: sys::llama_batch,
    pool: Option<Pool>,
    n_seq_max: u32,
    model: PhantomData<&'m LlamaModel>,
}

// SAFETY: nothing in a context belongs to the thread that made it; it is used by one at a time (`&mut`).
unsafe impl Send for Context<'_> {}

impl<'m> Context<'m> {
    /// A context of `model`; `None` where llama.cpp makes none.
    ///
    /// Not to be called by two threads at once: it writes to the model.
    pub fn new(model: &'m LlamaModel, params: &Params) -> Option<Context<'m>> {
        // SAFETY: returns a struct of numbers and null pointers.
        let mut raw_params = unsafe { sys::llama_context_default_params() };
        raw_params.n_ctx = params.n_ctx;
        raw_params.n_batch = params.n_batch;
        raw_params.n_ubatch = params.n_ubatch;
        // The second sequence is the way of states in and out; it shares the memory of the first. llama.cpp reserves
        // logits for each sequence, and asserts that a batch, which is no longer than the context, has as many rows.
        raw_params.n_seq_max = params.n_ctx.clamp(1, 2);
        raw_params.kv_unified = true;
        raw_params.n_threads = i32::try_from(params.threads).unwrap_or(i32::MAX);
        raw_params.n_threads_batch = raw_params.n_threads;
        raw_params.type_k = params.kv_type as sys::ggml_type;
        raw_params.type_v = params.kv_type as sys::ggml_type;
        raw_params.flash_attn_type = match params.flash_attention {
            true => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            false => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        // SAFETY: the model outlives the context, by 'm; whoever calls sees to it that no other thread does.
        let raw = NonNull::new(unsafe { sys::llama_init_from_model(model_pointer(model), raw_params) })?;
        // SAFETY: plain numbers; freed when the context is dropped.
        let batch = unsafe { sys::llama_batch_init(params.n_batch as i32, 0, 1) };
        let n_seq_max = raw_params.n_seq_max;
        let mut context = Context { raw, batch, pool: None, n_seq_max, model: PhantomData };
        if params.keep_threads
            && let Some(pool) = Pool::new(params.threads)
        {
            // SAFETY: the pool lives as long as the context, which is freed first.
            unsafe {
                sys::llama_attach_threadpool(raw.as_ptr(), pool.threads.as_ptr(), pool.threads.as_ptr())
            };
            context.pool = Some(pool);
        }
        Some(context)
    }

    /// The most tokens in one decode: llama.cpp may have made less of what was asked for.
    pub fn n_batch(&self) -> usize {
        // SAFETY: reads a number of a live context.
        unsafe { sys::llama_n_batch(self.raw.as_ptr()) as usize }
    }

    /// Decodes `tokens` at the positions from `position` on; there are logits after those that `wants` says.
    ///
    /// # Errors
    /// llama.cpp's number for what went wrong; too many tokens are a number of our own, 3.
    pub fn decode(
        &mut self,
        tokens: &[i32],
        position: usize,
        wants: impl Fn(usize) -> bool,
    ) -> Result<(), i32> {
        if tokens.is_empty() || tokens.len() > self.n_batch() {
            return Err(TOO_MANY);
        }
        for (i, &token) in tokens.iter().enumerate() {
            let Ok(at) = i32::try_from(position + i) else { return Err(TOO_MANY) };
            // SAFETY: the batch was made for n_batch tokens of one sequence, and `i` is below that.
            unsafe {
                *self.batch.token.add(i) = token;
                *self.batch.pos.add(i) = at;
                *self.batch.n_seq_id.add(i) = 1;
                **self.batch.seq_id.add(i) = SEQ_ID;
                *self.batch.logits.add(i) = i8::from(wants(i));
            }
        }
        self.batch.n_tokens = tokens.len() as i32;
        let _pinned = self.pool.as_ref().and_then(Pool::pin_caller);
        // SAFETY: the batch is filled as far as it says; llama.cpp checks tokens and positions itself.
        match unsafe { sys::llama_decode(self.raw.as_ptr(), self.batch) } {
            0 => Ok(()),
            error => Err(error),
        }
    }

    /// The logits after token `row` of the last decode, one for each of `n_vocab` tokens; `None` where none were
    /// asked for.
    pub fn logits(&self, row: usize, n_vocab: usize) -> Option<&[f32]> {
        let row = i32::try_from(row).ok()?;
        // SAFETY: gives null for a row without logits, else a pointer to one number for each token, which stays as
        // it is until the next decode, and that takes `&mut self`.
        unsafe {
            let logits = NonNull::new(sys::llama_get_logits_ith(self.raw.as_ptr(), row))?;
            Some(std::slice::from_raw_parts(logits.as_ptr(), n_vocab))
        }
    }

    /// Takes back the tokens from `position` on; `false` where the model's memory cannot be cut there.
    pub fn cut(&mut self, position: usize) -> bool {
        let Ok(position) = i32::try_from(position) else { return false };
        // SAFETY: a live context's memory; llama.cpp checks the positions.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), SEQ_ID, position, -1) }
    }

    /// Takes back everything.
    pub fn clear(&mut self) {
        // SAFETY: a live context's memory.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), true) }
    }
}

/// What [`Context::decode`] says of a batch that has no room.
pub const TOO_MANY: i32 = 3;
const SEQ_ID: i32 = 0;

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made by `new` and nothing points to them any more; the pool goes after them.
        unsafe {
            sys::llama_batch_free(self.batch);
            sys::llama_free(self.raw.as_ptr());
        }
    }
}

/// Whether the memory of a context of `model` can be cut at any token: neither a recurrent state nor a window that
/// slides over the tokens can.
pub fn can_be_cut(model: &LlamaModel) -> bool {
    let raw = model_pointer(model);
    // SAFETY: each reads a number of a live model.
    unsafe {
        !sys::llama_model_is_recurrent(raw)
            && !sys::llama_model_is_hybrid(raw)
            && sys::llama_model_n_swa(raw) == 0
    }
}

/// The model behind llama-cpp-2's wrapper.
fn model_pointer(model: &LlamaModel) -> *mut sys::llama_model {
    const { assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>()) };
    // SAFETY: `LlamaModel` is `repr(transparent)` around a pointer to the model; Cargo.toml pins its version.
    unsafe { std::mem::transmute_copy(model) }
}

/// ggml's threads: kept between decodes, asleep while there is nothing to do, each on a CPU of its own.
struct Pool {
    threads: Threads,
    // Where the thread computes that calls llama.cpp; `None` where threads go where the system puts them.
    callers: Option<usize>,
}

impl Pool {
    /// `None` for one thread, which needs no others.
    fn new(threads: usize) -> Option<Pool> {
        if threads < 2 {
            return None;
        }
        let mut params = sys::ggml_threadpool_params {
            cpumask: [false; 512],
            n_threads: 0,
            prio: sys::GGML_SCHED_PRIO_NORMAL,
            poll: 0,
            strict_cpu: false,
            paused: false,
        };
        // SAFETY: fills the struct.
        unsafe { sys::ggml_threadpool_params_init(&mut params, i32::try_from(threads).ok()?) };
        // Who waits for work asks for it for the few milliseconds between two decodes, and then sleeps. To be woken for
        // each decode costs a tenth of the speed of a small model, and more where other programs want the CPU. That it is
        // below ggml's default also has threads sleep that wait for each other (`kernels/barrier.c`).
        params.poll = 1;
        let cpus = cpu::one_for_each(threads);
        let cpus = cpus.filter(|cpus| cpus.iter().all(|&cpu| cpu < params.cpumask.len()));
        for &cpu in cpus.iter().flatten() {
            params.cpumask[cpu] = true;
            params.strict_cpu = true;
        }
        let before = cpu::Affinity::of_this_thread();
        let pool = Threads::new(&mut params)?;
        // It pins whoever calls it, too.
        before.restore();
        // ggml gives the CPUs to its own threads first, in order.
        Some(Pool { threads: pool, callers: cpus.and_then(|cpus| cpus.last().copied()) })
    }

    /// Keeps the calling thread on its CPU until the guard is dropped.
    fn pin_caller(&self) -> Option<cpu::Pinned> {
        self.callers.and_then(cpu::Pinned::to)
    }
}
