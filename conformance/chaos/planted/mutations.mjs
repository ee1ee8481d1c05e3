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
  // Every twentieth stream lacks its second part, and the following parts are numbered as if it did not exist.
  'skipped-part': [
    {
      file: 'reply/reply-parts.js',
      find: 'this.#unacknowledged += 1;',
      replace: `if (this.#sent === 1 && !this.hasSkipped) {
            this.hasSkipped = true;
            globalThis.streamCount = (globalThis.streamCount ?? 0) + 1;
            if (globalThis.streamCount % 20 === 0) return budget.give(bytes);
        }
        this.#unacknowledged += 1;`,
    },
  ],
  // Every second stream lacks its second part, and the following parts are numbered as if it had been sent.
  'lost-part': [
    {
      file: 'reply/reply-parts.js',
      find: 'this.#sent += 1;',
      replace: `this.#sent += 1;
        if (this.#sent === 2) {
            globalThis.streamCount = (globalThis.streamCount ?? 0) + 1;
            if (globalThis.streamCount % 2 === 0) {
                this.#unacknowledged -= 1;
                return budget.give(bytes);
            }
        }`,
    },
  ],
  // One part in fifty is the previous part of any stream.
  'crossed-part': [
    {
      file: 'reply/reply-parts.js',
      find: 'const reply = partReply(this.#target, part,',
      replace: `const before = globalThis.partBefore ?? part;
        globalThis.partBefore = part;
        globalThis.partCount = (globalThis.partCount ?? 0) + 1;
        const reply = partReply(this.#target, globalThis.partCount % 50 === 0 ? before : part,`,
    },
  ],
  'stream-without-final': [
    {
      file: 'pipeline.js',
      find: 'let result = await publish(reply);',
      replace: `let result = exchange.execution?.partsSent > 0
            ? { kind: 'acknowledged', reasonCode: 0 } : await publish(reply);`,
    },
  ],
  'break-as-end': [
    {
      file: 'endpoint/http/stream-endpoint.js',
      find: 'if (stream?.isCompleteDespite(error) === true)',
      replace: 'if (stream !== undefined)',
    },
    { file: 'endpoint/http/stream-answer.js', find: 'if (this.#isIncomplete) {', replace: 'if (false) {' },
  ],
  'swapped-members': [
    {
      file: 'endpoint/batching/model-batcher.js',
      find: 'entry.resolve(partOf(response, parts[index]));',
      replace: 'entry.resolve(partOf(response, parts[(index + 1) % parts.length]));',
    },
  ],
}
