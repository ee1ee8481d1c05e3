// Starts a new embedded broker for each test of a file.
import { afterEach, beforeEach } from 'vitest'
import type { Packet } from 'mqtt-packet'
import { startBroker, type Broker } from '../index.ts'
import { RawClient } from './raw-client.ts'

/** The broker of the test that is running. */
export interface BrokerPerTest {
  readonly url: string
  /** The broker's log lines. */
  readonly lines: readonly string[]
  /** Connects a client; see `RawClient.connect`. */
  connect(options?: Parameters<typeof RawClient.connect>[1]): Promise<RawClient>
  /** Stops the broker before the end of the test. */
  close(): Promise<void>
}

/** Registers the hooks that start and stop the broker. */
export function brokerPerTest(): BrokerPerTest {
  let broker: Broker
  let lines: string[] = []
  beforeEach(async () => {
    lines = []
    broker = await startBroker('embedded', { mqttPort: 0, wsPort: 0, log: (line) => lines.push(line) })
  })
  afterEach(() => broker.close())
  return {
    get url() {
      return broker.url
    },
    get lines() {
      return lines
    },
    connect: (options) => RawClient.connect(broker.url, options),
    close: () => broker.close(),
  }
}

/** Creates a PUBLISH, by default with QoS 1 and Packet Identifier 7. */
export function publishPacket(topic: string, payload: string, more: object = {}): Packet {
  return { cmd: 'publish', topic, payload, qos: 1, messageId: 7, retain: false, dup: false, ...more }
}
