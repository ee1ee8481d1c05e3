// The shape of a planted fault.
import type { runDoctor, World, WorldOptions } from './world.ts'

/** What the doctor is run with. */
export interface Planted {
  readonly config: object
  readonly options?: Parameters<typeof runDoctor>[2]
}

/** One planted fault. */
export interface PlantedFault {
  readonly name: string
  /** Changes the healthy system. @default the healthy system of the test file */
  readonly world?: WorldOptions
  /** Returns the doctor's configuration and options; `later` is called when the run has ended. */
  plant(world: World, later: (undo: () => unknown) => void): Promise<Planted> | Planted
  /** The checks that report a fault: the first one names the cause, the others its consequences. */
  readonly faults: readonly string[]
  /** The checks that report a warning. */
  readonly warnings?: readonly string[]
  /** Words of the message and of the remedy of the first check. */
  readonly message: RegExp
  readonly remedy: RegExp
}

/** Registers a step that is carried out when the run has ended. */
export type Later = (undo: () => unknown) => void
