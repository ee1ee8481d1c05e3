// The prompt of a chat on a terminal: reads lines, and reports Ctrl-C and Ctrl-D.
import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'

/** What the user typed at the prompt. */
export type Typed = { readonly kind: 'line'; readonly text: string } | { readonly kind: 'interrupt' | 'end' }

const HISTORY_SIZE = 1_000

/** A prompt on standard error; standard output contains only the answers. */
export class Prompt {
  readonly #terminal: Interface
  readonly #typed: Typed[] = []
  #waiting: ((typed: Typed) => void) | undefined
  #onInterrupt: (() => void) | undefined
  #isMuted = false

  constructor(text: string) {
    // While an answer is printed, the echo of typed text would appear inside the answer. The text appears at the next
    // prompt.
    const output = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#isMuted) process.stderr.write(chunk)
        done()
      },
    })
    this.#terminal = createInterface({
      input: process.stdin,
      output,
      terminal: true,
      prompt: text,
      historySize: HISTORY_SIZE,
    })
    this.#terminal.on('line', (line) => this.#take({ kind: 'line', text: line }))
    this.#terminal.on('close', () => {
      this.#onInterrupt?.()
      this.#take({ kind: 'end' })
    })
    this.#terminal.on('SIGINT', () => this.#interrupt())
  }

  /**
   * Returns the oldest line that was already typed. If there is none, shows the prompt and returns what the user
   * types.
   */
  async ask(): Promise<Typed> {
    this.#isMuted = false
    const earlier = this.#typed.shift()
    if (earlier !== undefined) return earlier
    this.#terminal.prompt(true)
    return await new Promise((resolve) => {
      this.#waiting = resolve
    })
  }

  /** Runs `work` without echo; the first Ctrl-C or Ctrl-D aborts its signal. */
  async during<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const controller = new AbortController()
    this.#onInterrupt = () => controller.abort(new Error('Ctrl-C'))
    this.#isMuted = true
    try {
      return await work(controller.signal)
    } finally {
      this.#onInterrupt = undefined
      this.#isMuted = false
    }
  }

  close(): void {
    this.#terminal.close()
  }

  #take(typed: Typed): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting === undefined) this.#typed.push(typed)
    else waiting(typed)
  }

  // At the prompt, Ctrl-C clears a partly typed line, as in a shell.
  #interrupt(): void {
    if (this.#onInterrupt !== undefined) {
      this.#onInterrupt()
    } else if (this.#terminal.line === '') {
      this.#take({ kind: 'interrupt' })
    } else {
      process.stderr.write('^C\n')
      this.#terminal.write(null, { ctrl: true, name: 'e' })
      this.#terminal.write(null, { ctrl: true, name: 'u' })
    }
  }
}
