// Classifies each message of a streamed answer: the next part, a repeat, or the end.
import { PROPERTY, userProperty } from '@inferwire/protocol'
import { InferwireError } from './error.ts'
import { readReply, type Reply, type ReplyFacts } from './reply.ts'
import { StreamPart } from './stream-part.ts'
import type { Message } from './transport.ts'

/** The role of a message in its stream. `whole` is the single message of a server that did not stream. */
export type Placed =
  | { readonly kind: 'broken'; readonly error: InferwireError }
  | { readonly kind: 'part'; readonly part: StreamPart }
  | { readonly kind: 'repeat' }
  | { readonly kind: 'whole' | 'end'; readonly reply: Reply }

// The body of the message that ends a stream without an error (wire contract, section "Streaming").
const DONE = '[DONE]'
const DONE_BYTES = DONE.length
// Number of parts whose repeats can be recognized. The broker repeats only parts that were not acknowledged.
const REMEMBERED_PARTS = 4_096

/** The parts of one answer, which are numbered from 0 by `seq`. */
export class PartOrder {
  readonly #model: string
  // The checksums of the last parts. A checksum's index is its part's number modulo the array's length.
  readonly #checksums: number[] = []
  // Undefined until the first part, if the stream may begin at any part.
  #next: number | undefined

  /** @param isRest whether the stream may begin at any part, because an earlier PartOrder had the first parts */
  constructor(model: string, isRest = false) {
    this.#model = model
    this.#next = isRest ? undefined : 0
  }

  /**
   * Classifies a message. QoS 1 keeps the order of messages (MQTT 5 §4.6), so a number above the expected number
   * means that messages were lost, and the stream is broken. The stream is also broken if a repeat differs from
   * the first copy: the request was executed twice, for example by two connectors, and the parts of both
   * executions are mixed.
   * @throws InferwireError for an error reply
   */
  place(message: Message, facts: ReplyFacts): Placed {
    const { userProperties } = message.properties
    const seqText = userProperty(userProperties, PROPERTY.seq)
    const isFinal = userProperty(userProperties, PROPERTY.final) === 'true'
    if (seqText === undefined) return this.#placeSingle(message, facts)
    // The error explains why parts are missing, for example because the broker refused one.
    const reply = isFinal ? readReply(message, facts) : undefined
    if (!/^\d{1,15}$/.test(seqText)) {
      return this.#invalid(`a part with the number "${seqText.slice(0, 20)}"`, message)
    }
    const seq = Number(seqText)
    const next = (this.#next ??= seq)
    if (seq > next) return this.#interrupted(`part ${next} is missing, but ${seq} arrived`)
    if (seq < next && reply === undefined) return this.#repeat(seq, next, message)
    if (seq < next) return this.#interrupted(`it ended at ${seq}, but ${next} parts arrived`)
    if (reply !== undefined) return { kind: 'end', reply }
    this.#checksums[seq % REMEMBERED_PARTS] = checksumOf(message.payload)
    this.#next = next + 1
    return { kind: 'part', part: new StreamPart(this.#model, seq, message) }
  }

  #repeat(seq: number, next: number, { payload }: Message): Placed {
    const isRemembered = seq >= next - REMEMBERED_PARTS
    if (isRemembered && this.#checksums[seq % REMEMBERED_PARTS] === checksumOf(payload))
      return { kind: 'repeat' }
    const message = `The stream of model "${this.#model}" is mixed with another stream: part ${seq} arrived twice, with different contents.`
    return {
      kind: 'broken',
      error: new InferwireError('stream_interrupted', message, { model: this.#model }),
    }
  }

  // An error before the first part, and the answer of a server that does not stream, have no number.
  #placeSingle(message: Message, facts: ReplyFacts): Placed {
    const reply = readReply(message, facts)
    if ((this.#next ?? 0) > 0) return this.#invalid('a message without a number in a stream', message)
    const isDone = reply.body.length === DONE_BYTES && reply.text() === DONE
    return { kind: isDone ? 'end' : 'whole', reply }
  }

  #interrupted(what: string): Placed {
    const message = `The stream of model "${this.#model}" has a gap: ${what}.`
    return {
      kind: 'broken',
      error: new InferwireError('stream_interrupted', message, { model: this.#model }),
    }
  }

  #invalid(what: string, { payload }: Message): Placed {
    const error = new InferwireError('upstream_invalid_response', `Model "${this.#model}" sent ${what}.`, {
      model: this.#model,
      body: payload,
      retryable: false,
    })
    return { kind: 'broken', error }
  }
}

// Returns the 32-bit FNV-1a hash, combined with the length.
function checksumOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0) + bytes.length * 2 ** 32
}
