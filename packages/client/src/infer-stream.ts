// A streamed answer as an async iterable: holds the parts that the application has not read yet.
import { InferwireError } from './error.ts'
import type { Reply } from './reply.ts'
import type { TokenUsage } from './token-usage.ts'

/** The limits for unread parts. */
export interface StreamBounds {
  readonly partsMax: number
  readonly bufferBytesMax: number
}

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(error: unknown): void
}

const DONE = { value: undefined, done: true } as const

/**
 * A streamed answer. Iterate over it once, with `for await`. The iteration ends when the model has finished. If
 * the stream is interrupted, the iteration returns the parts received so far, and then throws an InferwireError.
 * Leaving the loop cancels the request.
 */
export class InferStream<T> implements AsyncIterableIterator<T, undefined> {
  readonly #model: string
  readonly #bounds: StreamBounds
  readonly #cancel: () => void
  readonly #parts: { readonly value: T; readonly bytes: number }[] = []
  readonly #waiters: Waiter<T>[] = []
  #bufferedBytes = 0
  #finalReply: Reply | undefined
  #error: Error | undefined
  #isOver = false

  /** @internal @param cancel cancels the request; called at most once, and only before the end */
  constructor(model: string, bounds: StreamBounds, cancel: () => void) {
    this.#model = model
    this.#bounds = bounds
    this.#cancel = cancel
  }

  /** The last message of the stream, with status and timing; undefined until the stream has ended without an error. */
  get finalReply(): Reply | undefined {
    return this.#finalReply
  }

  /** The token counts that the server reported; undefined until the stream ends, and if the server reported none. */
  get usage(): TokenUsage | undefined {
    return this.#finalReply?.usage
  }

  /** Returns the next part. Concurrent calls are answered in order. */
  next(): Promise<IteratorResult<T, undefined>> {
    const part = this.#parts.shift()
    if (part !== undefined) {
      this.#bufferedBytes -= part.bytes
      return Promise.resolve({ value: part.value, done: false })
    }
    const error = this.#error
    if (error !== undefined) {
      // An iterator throws an error only once; after that, it is done.
      this.#error = undefined
      return Promise.reject(error)
    }
    if (this.#isOver) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  /** Called by the runtime when a loop is left early: cancels the request and drops the unread parts. */
  return(): Promise<IteratorResult<T, undefined>> {
    this.cancel()
    return Promise.resolve(DONE)
  }

  /** Stops the model, and ends the iteration without an error. Does nothing after the end. */
  cancel(): void {
    this.#drop()
    this.#error = undefined
    if (this.#isOver) return
    this.#finish()
    this.#cancel()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** @internal Adds a part. @throws InferwireError `overloaded` if the application reads too slowly */
  push(value: T, bytes: number): void {
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) {
      waiter.resolve({ value, done: false })
      return
    }
    const { partsMax, bufferBytesMax } = this.#bounds
    if (this.#parts.length >= partsMax || this.#bufferedBytes + bytes > bufferBytesMax) {
      throw new InferwireError(
        'overloaded',
        `The stream of model "${this.#model}" was cancelled: ${this.#parts.length} parts (${this.#bufferedBytes} bytes) wait to be read, and partsMax is ${partsMax}; bufferBytesMax is ${bufferBytesMax}. Read faster, or raise the limits.`,
        { model: this.#model },
      )
    }
    this.#parts.push({ value, bytes })
    this.#bufferedBytes += bytes
  }

  /** @internal Ends the stream after its last message. */
  end(reply: Reply): void {
    this.#finalReply = reply
    this.#finish()
  }

  /** @internal Ends the stream with an error, which is thrown after the unread parts. An abort drops these parts. */
  fail(error: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    if (error instanceof InferwireError && error.code === 'cancelled') this.#drop()
    const waiter = this.#waiters.shift()
    if (waiter === undefined) this.#error = error
    else waiter.reject(error)
    this.#finish()
  }

  #finish(): void {
    this.#isOver = true
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(DONE)
  }

  #drop(): void {
    this.#parts.length = 0
    this.#bufferedBytes = 0
  }
}
