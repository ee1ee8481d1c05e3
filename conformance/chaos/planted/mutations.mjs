// The bugs of ../../rig/planted-bugs.ts that chaos plants, as changes to the connector's built JavaScript. The
// connector does not start unless each text to replace occurs exactly once, so that a change to the connector
// cannot silently disable a bug.

/**
 * @typedef {{ readonly file: string, readonly find: string, readonly replace: string }} Mutation
 * `file` is below packages/connector/dist.
 */

/** @type {Readonly<Record<string, readonly Mutation[]>>} */
export const MUTATIONS = {
  'ack-on-receipt': [
    {
      file: 'session/connection.js',
      find: 'this.#listener.delivered(delivery);',
      replace: 'this.#listener.delivered(delivery); delivery.settle();',
    },
  ],
  'ack-before-reply-puback': [
    {
      file: 'pipeline.js',
      find: 'let result = await publish(reply);',
      replace:
        'const publishing = publish(reply); exchange.delivery.settle(); let result = await publishing;',
    },
  ],
  'ack-out-of-order': [
    {
      file: 'session/ack-order.js',
      find: 'return holdMaxMs === 0 ? Number.POSITIVE_INFINITY',
      replace: 'return true ? Number.POSITIVE_INFINITY',
    },
  ],
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
  'clean-start': [{ file: 'session/control-encoder.js', find: 'clean: false', replace: 'clean: true' }],
  // One reply in a hundred has the previous reply's Correlation Data.
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
  'duplicate-key-without-client': [
    { file: 'duplicates/duplicate-key.js', find: '= `${client}/${model}', replace: '= `${model}' },
  ],
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
