// The range of the broker's Packet Identifiers, and how many of them may be assigned while a delivery is open.

/** The Packet Identifiers that the broker uses. */
export interface Identifiers {
  /** The largest identifier; the smallest is 1. */
  readonly count: number
  /**
   * How many identifiers the broker may assign after a delivery's identifier before the delivery must give up its
   * own.
   */
  readonly distanceMax: number
}

/**
 * Many brokers assign Packet Identifiers by counting, without checking whether an identifier is still in use. The
 * 65,535th PUBLISH after an open message therefore has the same identifier, and the PUBACK for either message may
 * delete the other. To prevent this, a delivery gives up its identifier when half of the identifiers have been assigned
 * after it.
 */
export const IDENTIFIERS: Identifiers = { count: 65_535, distanceMax: 32_768 }
