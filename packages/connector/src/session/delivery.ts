// A received PUBLISH that we must settle. It carries its own acknowledgement; nobody else needs to know MQTT.
import type { MessageProperties, QoS } from '@inferwire/protocol'
import type { Delivery } from '../step.ts'
import { NO_PAYLOAD, NO_PROPERTIES, type ReceivedPublish } from './publish-decoder.ts'

/** Where a delivery reports that its duty is done. */
export interface Acknowledgements {
  /** The connection on which the delivery came; a number that grows with every connection. */
  readonly epoch: number
  /** That connection is over. */
  readonly hasEnded: boolean
  /** Resolves when the broker must have redelivered what that connection left open; undefined: not to be waited for. */
  readonly redelivery: Promise<void> | undefined
  settled(delivery: ReceivedDelivery): void
}

/** One message of the broker, and the duty to settle it. */
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
  /** Belongs to the ack order: the place in the order of arrival; 0 where no PUBACK is due, or it has left. */
  place = 0
  /** Belongs to the ack order: how much further than by its place the broker has counted since it gave the identifier. */
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

  /** The connection on which it came; a number that grows with every connection. */
  get epoch(): number {
    return this.#acknowledgements.epoch
  }

  get isLost(): boolean {
    return this.qos > 0 && this.#keeper === undefined && this.#acknowledgements.hasEnded
  }

  get redelivery(): Promise<void> | undefined {
    return this.isLost ? this.#acknowledgements.redelivery : undefined
  }

  /** Its request is kept elsewhere: see `handOver`. */
  get isHandedOver(): boolean {
    return this.#keeper !== undefined
  }

  /** Takes an equal payload in place of its own, which can be freed. */
  sharePayload(payload: Buffer): void {
    this.payload = payload
  }

  release(): void {
    this.isReleased = true
    this.payload = NO_PAYLOAD
    this.properties = NO_PROPERTIES
  }

  /** The broker need not keep the request any more. `settle` calls `settled` in place of the acknowledgement, once. */
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
