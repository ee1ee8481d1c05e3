// Tests that a stream ends if the broker takes its bytes too slowly.
import { Writable, type Duplex } from 'node:stream'
import type { Problem } from '@inferwire/protocol'
import { expect, test } from 'vitest'
import { ByteBudget } from '../admission/index.ts'
import { Outbox } from '../session/outbox.ts'
import { PacketWriter } from '../session/packet-writer.ts'
import type { PublishResult } from '../step.ts'
import { ReplyParts } from './reply-parts.ts'

const PART_BYTES = 1_048_576
const BUDGET_BYTES = 16 * PART_BYTES

test.each([0, 1] as const)(
  'a stream with QoS %i ends when the bytes that the broker has not taken exceed the budget',
  async (qos) => {
    // A broker that reads nothing.
    const socket = new Writable({ write: () => {} }) as Duplex
    const outbox = new Outbox()
    const writer = new PacketWriter(socket)
    outbox.connected(
      {
        writer,
        protocolVersion: 5,
        maximumPacketSize: 1e9,
        receiveMaximum: 100,
        maximumQoS: 1,
        retainAvailable: true,
      },
      false,
    )
    let stopped: Problem | undefined
    const parts = new ReplyParts(
      {
        publish: (reply) => new Promise<PublishResult>((done) => outbox.publish(reply, done)),
        budget: new ByteBudget(BUDGET_BYTES),
        began: () => {},
        misused: () => {},
      },
      { topic: 't', correlationData: undefined, qos },
      { expirySeconds: undefined, isRedelivered: false },
      (problem) => (stopped = problem),
    )
    for (let sent = 0; sent < 40; sent++) {
      parts.emit({ body: Buffer.alloc(PART_BYTES), contentType: 'application/json' })
      writer.flush()
      await new Promise(setImmediate)
    }
    expect(stopped?.code).toBe('stream_interrupted')
    expect(socket.writableLength).toBeLessThanOrEqual(BUDGET_BYTES)
    socket.destroy()
    outbox.disconnected()
  },
)
