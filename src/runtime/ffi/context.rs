//! llama.cpp's context, with a thread pool of its own.
//!
//! llama-cpp-2 does not expose its context's pointer, which is needed to attach a thread pool. Without one,
//! llama.cpp starts new threads for each decode, and the system places them. ggml's barriers spin, so two
//! threads on one CPU wait for a whole time slice for each other, hundreds of times a token.

mod state;

use super::super::cpu;
use super::kernels::Threads;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::{marker::PhantomData, ops::Range, ptr::NonNull};

/// Parameters of a context.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Its length in tokens.
    pub n_ctx: u32,
    /// Number of sequences, with the ids from 0 on; they share the length.
    pub n_seq: u32,
    /// Most tokens in one decode.
    pub n_batch: u32,
    /// Most tokens that are computed together.
    pub n_ubatch: u32,
    /// Number of compute threads.
    pub threads: usize,
    /// True if the threads are kept between decodes, each pinned to a CPU.
    pub keep_threads: bool,
    /// Type of the KV cache, as ggml's number.
    pub kv_type: u32,
    /// True for flash attention.
    pub flash_attention: bool,
}

/// Tokens of one sequence in a decode.
#[derive(Clone, Copy, Debug)]
pub struct Part<'t> {
    /// The sequence, one of the context's.
    pub seq_id: i32,
    /// The tokens.
    pub tokens: &'t [i32],
    /// Position of the first of them.
    pub position: usize,
    /// Index of the first token after which logits are computed; so they are after those behind it.
    pub wants_from: usize,
}

/// A context whose sequences share one KV cache.
pub struct Context<'m> {
    raw: NonNull<sys::llama_context>,
    batch: sys::llama_batch,
    pool: Option<Pool>,
    n_seq: u32,
    n_seq_max: u32,
    /// True if a part of the memory is a state of fixed size, which only the last token's position names.
    is_recurrent: bool,
    model: PhantomData<&'m LlamaModel>,
}

// SAFETY: nothing in a context is bound to the thread that created it, and one thread at a time uses it
// (`&mut`).
unsafe impl Send for Context<'_> {}

impl<'m> Context<'m> {
    /// Creates a context of `model`; `None` if llama.cpp cannot.
    ///
    /// Not to be called by two threads at once, since it writes to the model.
    pub fn new(model: &'m LlamaModel, params: &Params) -> Option<Context<'m>> {
        // SAFETY: returns a struct of numbers and null pointers.
        let mut raw_params = unsafe { sys::llama_context_default_params() };
        raw_params.n_ctx = params.n_ctx;
        raw_params.n_batch = params.n_batch;
        raw_params.n_ubatch = params.n_ubatch;
        // One more sequence is used to export and import states; it shares the memory of the others. llama.cpp
        // reserves logits for each sequence, and asserts that a batch, which is at most as long as the context,
        // has as many rows.
        raw_params.n_seq_max = params.n_ctx.clamp(1, params.n_seq + 1);
        raw_params.kv_unified = true;
        // Layers with a sliding window keep all tokens, so that a sequence can be cut after any of them.
        raw_params.swa_full = true;
        raw_params.n_threads = i32::try_from(params.threads).unwrap_or(i32::MAX);
        raw_params.n_threads_batch = raw_params.n_threads;
        raw_params.type_k = params.kv_type as sys::ggml_type;
        raw_params.type_v = params.kv_type as sys::ggml_type;
        raw_params.flash_attn_type = match params.flash_attention {
            true => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            false => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        // SAFETY: the model outlives the context, by 'm; the caller makes sure that no other thread calls this.
        let raw = NonNull::new(unsafe { sys::llama_init_from_model(model_pointer(model), raw_params) })?;
        // SAFETY: plain numbers; freed when the context is dropped.
        let batch = unsafe { sys::llama_batch_init(params.n_batch as i32, 0, 1) };
        let (n_seq, n_seq_max) = (params.n_seq, raw_params.n_seq_max);
        let is_recurrent = !can_be_cut(model);
        let mut context =
            Context { raw, batch, pool: None, n_seq, n_seq_max, is_recurrent, model: PhantomData };
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

    /// Most tokens in one decode: llama.cpp may have reduced the requested number.
    pub fn n_batch(&self) -> usize {
        // SAFETY: reads a number of a live context.
        unsafe { sys::llama_n_batch(self.raw.as_ptr()) as usize }
    }

    /// Decodes the tokens of `parts`, each of another sequence, together. The rows of the logits are counted through all
    /// parts.
    ///
    /// # Errors
    /// Return value of `llama_decode`; [`TOO_MANY`] for too many tokens.
    pub fn decode(&mut self, parts: &[Part<'_>]) -> Result<(), i32> {
        let n_tokens = parts.iter().map(|part| part.tokens.len()).sum::<usize>();
        if n_tokens == 0 || n_tokens > self.n_batch() {
            return Err(TOO_MANY);
        }
        let tokens = parts.iter().flat_map(|part| (0..part.tokens.len()).map(move |nth| (part, nth)));
        for (i, (part, nth)) in tokens.enumerate() {
            let Ok(at) = i32::try_from(part.position + nth) else { return Err(TOO_MANY) };
            // SAFETY: the batch was made for n_batch tokens of one sequence each, and `i` is below that.
            unsafe {
                *self.batch.token.add(i) = part.tokens[nth];
                *self.batch.pos.add(i) = at;
                *self.batch.n_seq_id.add(i) = 1;
                **self.batch.seq_id.add(i) = part.seq_id;
                *self.batch.logits.add(i) = i8::from(nth >= part.wants_from);
            }
        }
        self.batch.n_tokens = n_tokens as i32;
        let _pinned = self.pool.as_ref().and_then(Pool::pin_caller);
        // SAFETY: the batch is filled up to its `n_tokens`; llama.cpp checks tokens and positions itself.
        match unsafe { sys::llama_decode(self.raw.as_ptr(), self.batch) } {
            0 => Ok(()),
            error => Err(error),
        }
    }

    /// The logits after token `row` of the last decode, one for each of `n_vocab` tokens; `None` if they were
    /// not requested.
    pub fn logits(&self, row: usize, n_vocab: usize) -> Option<&[f32]> {
        let row = i32::try_from(row).ok()?;
        // SAFETY: gives null for a row without logits, else a pointer to one number for each token, which stays as
        // it is until the next decode, and that takes `&mut self`.
        unsafe {
            let logits = NonNull::new(sys::llama_get_logits_ith(self.raw.as_ptr(), row))?;
            Some(std::slice::from_raw_parts(logits.as_ptr(), n_vocab))
        }
    }

    /// Removes the tokens of a sequence from `position` on; `false` if the model's memory cannot be cut there.
    pub fn cut(&mut self, seq_id: i32, position: usize) -> bool {
        let Ok(position) = i32::try_from(position) else { return false };
        // SAFETY: a live context's memory; llama.cpp checks the positions.
        unsafe { sys::llama_memory_seq_rm(sys::llama_get_memory(self.raw.as_ptr()), seq_id, position, -1) }
    }

    /// Removes all tokens of a sequence.
    pub fn clear(&mut self, seq_id: i32) {
        // SAFETY: a live context's memory; a whole sequence can always be removed.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            if self.n_seq == 1 {
                sys::llama_memory_clear(memory, true);
            } else {
                sys::llama_memory_seq_rm(memory, seq_id, -1, -1);
            }
        }
    }

    /// Adds the tokens at `range` of the sequence `from` to the sequence `to`. They stay in the cells that they are in.
    pub fn share(&mut self, from: i32, to: i32, range: Range<usize>) {
        let (Ok(start), Ok(end)) = (i32::try_from(range.start), i32::try_from(range.end)) else { return };
        // SAFETY: a live context with both sequences in one memory; llama.cpp checks the positions.
        unsafe { sys::llama_memory_seq_cp(sys::llama_get_memory(self.raw.as_ptr()), from, to, start, end) };
    }
}

/// The error of [`Context::decode`] for a batch that does not fit; a number of our own.
pub const TOO_MANY: i32 = 3;

impl Drop for Context<'_> {
    fn drop(&mut self) {
        // SAFETY: both were made by `new` and nothing points to them any more; the pool goes after them.
        unsafe {
            sys::llama_batch_free(self.batch);
            sys::llama_free(self.raw.as_ptr());
        }
    }
}

/// True if the memory of a context of `model` can be cut after any token. Recurrent states cannot.
pub fn can_be_cut(model: &LlamaModel) -> bool {
    let raw = model_pointer(model);
    // SAFETY: each reads a number of a live model.
    unsafe { !sys::llama_model_is_recurrent(raw) && !sys::llama_model_is_hybrid(raw) }
}

/// The pointer inside llama-cpp-2's wrapper.
fn model_pointer(model: &LlamaModel) -> *mut sys::llama_model {
    const { assert!(size_of::<LlamaModel>() == size_of::<*mut sys::llama_model>()) };
    // SAFETY: `LlamaModel` is `repr(transparent)` around a pointer to the model; Cargo.toml pins its version.
    unsafe { std::mem::transmute_copy(model) }
}

/// ggml's thread pool: kept between decodes, asleep when idle, each thread pinned to a CPU.
struct Pool {
    threads: Threads,
    // CPU of the thread that calls llama.cpp; `None` if threads are not pinned.
    callers: Option<usize>,
}

impl Pool {
    /// `None` for a single thread, which needs no pool.
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
        // Threads poll for work for a few milliseconds between two decodes, and then sleep. Waking them for
        // each decode would cost a tenth of the speed of a small model, and more if other programs use the CPU.
        // A value below ggml's default also makes threads sleep that wait for each other (`kernels/barrier.c`).
        params.poll = 1;
        let cpus = cpu::one_for_each(threads);
        let cpus = cpus.filter(|cpus| cpus.iter().all(|&cpu| cpu < params.cpumask.len()));
        for &cpu in cpus.iter().flatten() {
            params.cpumask[cpu] = true;
            params.strict_cpu = true;
        }
        let before = cpu::Affinity::of_this_thread();
        let pool = Threads::new(&mut params)?;
        // Creating a pool pins the calling thread, too.
        before.restore();
        // ggml gives the CPUs to its own threads first, in order.
        Some(Pool { threads: pool, callers: cpus.and_then(|cpus| cpus.last().copied()) })
    }

    /// Keeps the calling thread on its CPU until the guard is dropped.
    fn pin_caller(&self) -> Option<cpu::Pinned> {
        self.callers.and_then(cpu::Pinned::to)
    }
}
