// Eight bugs that a connector could have, as changes to its built JavaScript. Without them the zeros of a run mean
// nothing: each must be found. A change that does not fit exactly once stops the start, so that none rots unnoticed.

/**
 * @typedef {{ readonly file: string, readonly find: string, readonly replace: string }} Mutation
 * `file` is below packages/connector/dist.
 */

/** @type {Readonly<Record<string, readonly Mutation[]>>} */
export const PLANTS = {
  // The request is acknowledged when it comes.
  'ack-on-receipt': [
    {
      file: 'session/connection.js',
      find: 'this.#listener.delivered(delivery);',
      replace: 'this.#listener.delivered(delivery); delivery.settle();',
    },
  ],
  // It is acknowledged when the reply is written, not when the broker has it.
  'ack-before-reply-taken': [
    {
      file: 'pipeline.js',
      find: 'let result = await publish(reply);',
      replace:
        'const publishing = publish(reply); exchange.delivery.settle(); let result = await publishing;',
    },
  ],
  // Each PUBACK leaves as soon as it can.
  'ack-out-of-order': [
    {
      file: 'session/ack-order.js',
      find: 'return holdMaxMs === 0 ? Number.POSITIVE_INFINITY',
      replace: 'return true ? Number.POSITIVE_INFINITY',
    },
  ],
  // What was delivered on one connection is acknowledged on the next.
  'ack-of-old-epoch': [
    {
      file: 'session/connection.js',
      find: '(id) => this.writer.puback(id)',
      replace: '(id) => Connection.latest.writer.puback(id)',
    },
    {
      file: 'session/connection.js',
      find: 'this.#socket = socket;',
      replace: 'this.#socket = socket; Connection.latest = this;',
    },
    { file: 'session/ack-order.js', find: 'this.#ended = true;', replace: 'return;' },
  ],
  // The session is thrown away with every connection.
  'clean-start': [{ file: 'session/control-encoder.js', find: 'clean: false', replace: 'clean: true' }],
  // One reply in a hundred carries the Correlation Data of the one before.
  'swapped-correlation': [
    {
      file: 'reply/reply.js',
      find: 'properties.correlationData = target.correlationData;',
      replace: `{
        const before = globalThis.correlationBefore ?? target.correlationData;
        globalThis.correlationBefore = target.correlationData;
        globalThis.replyCount = (globalThis.replyCount ?? 0) + 1;
        properties.correlationData = globalThis.replyCount % 100 === 0 ? before : target.correlationData;
    }`,
    },
  ],
  // Two clients that count alike share one answer.
  'duplicate-key-without-client': [
    { file: 'duplicates/duplicate-key.js', find: '= `${client}/${model}', replace: '= `${model}' },
  ],
  // What was under way when the connection broke is taken for done: deliveries and replies.
  'drop-on-reconnect': [
    {
      file: 'session/connection.js',
      find: 'this.#listener.delivered(delivery);',
      replace: 'if (!delivery.dup) this.#listener.delivered(delivery);',
    },
    {
      file: 'session/outbox.js',
      find: 'const sent = this.#inFlight.values()',
      replace:
        'this.#inFlight.clear(); this.#waiting.length = this.#waitingHead = 0; const sent = this.#inFlight.values()',
    },
  ],
}
