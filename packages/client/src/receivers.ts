// The two ways to receive an answer: as a single reply, or as a stream.
import { PROPERTY, userProperty } from '@inferwire/protocol'
import { InferwireError } from './error.ts'
import type { InferStream } from './infer-stream.ts'
import { PartOrder } from './part-order.ts'
import { readReply, type Reply, type ReplyFacts } from './reply.ts'
import type { ReplyReceiver } from './request.ts'
import { StreamPart } from './stream-part.ts'
import type { Message } from './transport.ts'

/** Receives a single reply. */
export class SingleReply implements ReplyReceiver {
  readonly isStream = false
  readonly reply: Promise<Reply>
  #resolve!: (reply: Reply) => void
  #reject!: (error: InferwireError) => void

  constructor() {
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  receive(message: Message, facts: ReplyFacts): 'ended' | InferwireError {
    const { userProperties } = message.properties
    const isPart =
      userProperty(userProperties, PROPERTY.seq) !== undefined &&
      userProperty(userProperties, PROPERTY.final) === undefined
    if (isPart) {
      return new InferwireError(
        'upstream_invalid_response',
        `Model "${facts.model}" streams its answer to this request; use stream(), or chat() with stream: true.`,
        { model: facts.model, body: message.payload, retryable: false },
      )
    }
    this.#resolve(readReply(message, facts))
    return 'ended'
  }

  fail(error: InferwireError): void {
    this.#reject(error)
  }
}

/** Converts the parts of a stream to the values that the stream yields. */
export interface PartReader<T> {
  /** @throws InferwireError for a part that the stream must not contain */
  readonly read: (part: StreamPart) => T
  /** Whether the single message of a server that does not stream counts as a part. */
  readonly acceptsWhole: boolean
}

/** Receives the parts of a stream. */
export class StreamedReply<T> implements ReplyReceiver {
  readonly isStream = true
  readonly #stream: InferStream<T>
  readonly #reader: PartReader<T>
  readonly #order: PartOrder

  constructor(model: string, stream: InferStream<T>, reader: PartReader<T>) {
    this.#stream = stream
    this.#reader = reader
    this.#order = new PartOrder(model)
  }

  receive(message: Message, facts: ReplyFacts): 'more' | 'ended' | InferwireError {
    const placed = this.#order.place(message, facts)
    switch (placed.kind) {
      case 'broken':
        return placed.error
      case 'repeat':
        return 'more'
      case 'part':
        return this.#push(placed.part) ?? 'more'
      case 'whole':
        return this.#pushWhole(message, placed.reply, facts.model)
      case 'end':
        this.#stream.end(placed.reply)
        return 'ended'
    }
  }

  fail(error: InferwireError): void {
    this.#stream.fail(error)
  }

  #push(part: StreamPart): InferwireError | undefined {
    try {
      this.#stream.push(this.#reader.read(part), part.body.length)
      return undefined
    } catch (error) {
      return error as InferwireError
    }
  }

  #pushWhole(message: Message, reply: Reply, model: string): 'ended' | InferwireError {
    if (!this.#reader.acceptsWhole) {
      const what = `Model "${model}" answered with a single message instead of a stream.`
      const { body } = reply
      return new InferwireError('upstream_invalid_response', what, { model, body, retryable: false })
    }
    const error = this.#push(new StreamPart(model, 0, message))
    if (error !== undefined) return error
    this.#stream.end(reply)
    return 'ended'
  }
}
