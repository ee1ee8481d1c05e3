// Connects to the broker on first use, and at most once: `infer --show` often needs no broker.
import { openClient, type BrokerClient } from './broker-client.ts'
import type { BrokerTarget } from './broker-flags.ts'

/** A connection that is opened when it is needed. */
export class LazyClient {
  readonly #target: BrokerTarget
  #client: Promise<BrokerClient> | undefined

  constructor(target: BrokerTarget) {
    this.#target = target
  }

  open(): Promise<BrokerClient> {
    this.#client ??= openClient(this.#target)
    return this.#client
  }

  async close(): Promise<void> {
    // open() has already reported a failed connection.
    const client = await this.#client?.catch(() => undefined)
    await client?.close()
  }
}
