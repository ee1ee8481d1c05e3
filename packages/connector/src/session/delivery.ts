// A received PUBLISH. Its method `settle` allows the PUBACK to be sent, so the other rooms (ARCHITECTURE.md) do
// not depend on MQTT.
import type { MessageProperties, QoS } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { bodyBlocks } from './body-blocks.ts'
import { NO_PAYLOAD, NO_PROPERTIES, type ReceivedPublish } from './publish-decoder.ts'

/** Receives the settled deliveries of one connection. */
export interface Acknowledgements {
  /** The number of the connection on which the delivery arrived; it increases with every connection. */
  readonly epoch: number
  /** Whether that connection has ended. */
  readonly hasEnded: boolean
  /**
   * Resolves when no open message of that connection can be redelivered any more; undefined if no redelivery is
   * expected.
   */
  readonly redelivery: Promise<void> | undefined
  settled(delivery: ReceivedDelivery): void
}

/** A message from the broker that must be settled. */
export class ReceivedDelivery implements Delivery {
  readonly topic: string
  payload: Buffer
  readonly payloadBytes: number
  readonly propertyBytes: number
  readonly isWhole: boolean
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number
  properties: MessageProperties
  readonly receivedAtMs: number
  isReleased = false
  settled = false
  /** Place in the order of arrival, used by the ack order; 0 if no PUBACK is due or the PUBACK has been sent. */
  place = 0
  /**
   * How many identifiers the broker assigned after this delivery's identifier to messages that did not arrive on
   * this connection; used by the ack order.
   */
  lead = 0
  readonly #acknowledgements: Acknowledgements
  #keeper: (() => void) | undefined

  constructor(publish: ReceivedPublish, receivedAtMs: number, acknowledgements: Acknowledgements) {
    this.topic = publish.topic
    this.payload = publish.payload
    this.payloadBytes = publish.payloadBytes
    this.propertyBytes = publish.propertyBytes
    this.isWhole = publish.isWhole
    this.qos = publish.qos
    this.retain = publish.retain
    this.dup = publish.dup
    this.packetId = publish.packetId
    this.properties = publish.properties
    this.receivedAtMs = receivedAtMs
    this.#acknowledgements = acknowledgements
    this.#keeper = undefined
  }

  /** The number of the connection on which the delivery arrived; it increases with every connection. */
  get epoch(): number {
    return this.#acknowledgements.epoch
  }

  get connection(): object {
    return this.#acknowledgements
  }

  get isLost(): boolean {
    return this.qos > 0 && this.#keeper === undefined && this.#acknowledgements.hasEnded
  }

  get redelivery(): Promise<void> | undefined {
    return this.isLost ? this.#acknowledgements.redelivery : undefined
  }

  /** Whether the request has been stored elsewhere: see `handOver`. */
  get isHandedOver(): boolean {
    return this.#keeper !== undefined
  }

  /** Replaces the payload with an equal buffer, so that the memory of the original can be freed. */
  sharePayload(payload: Buffer): void {
    this.payload = payload
  }

  release(): void {
    this.isReleased = true
    this.payload = NO_PAYLOAD
    this.properties = NO_PROPERTIES
  }

  recycle(): void {
    bodyBlocks.give(this.payload)
    this.release()
  }

  /**
   * Marks the request as stored elsewhere, so that the broker may delete it. `settle` will then call `settled` once,
   * and send no PUBACK.
   */
  handOver(settled: () => void): void {
    this.#keeper = settled
  }

  settle(): void {
    if (this.settled) return
    this.settled = true
    if (this.#keeper === undefined) this.#acknowledgements.settled(this)
    else this.#keeper()
  }
}
