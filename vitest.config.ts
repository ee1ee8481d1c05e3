import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { ownNetworkPool } from './conformance/cluster/own-network-pool.ts'

// Sources are tested without a build: every package exports its TypeScript under the `source` condition.
const shared = { resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source'] } } }

const unit = {
  // Long enough for a machine that compiles a control plane at the same time.
  testTimeout: 30_000,
  // A thread starts with less CPU time than a process.
  pool: 'threads' as const,
  // While a test waits, it uses no core: one worker more than there are cores keeps all of them busy. By default vitest
  // has one worker less than there are cores.
  maxWorkers: availableParallelism() + 1,
  sequence: { groupOrder: 0 },
}

export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        test: {
          ...unit,
          name: 'unit-isolated',
          // Their tests replace timers and change tables of modules.
          include: ['packages/{connector,dev}/src/**/*.test.ts'],
        },
      },
      {
        ...shared,
        test: {
          ...unit,
          name: 'unit',
          include: ['packages/!(connector|dev)/src/**/*.test.ts'],
          // A process for each file costs more CPU time than most of these tests.
          isolate: false,
        },
      },
      {
        ...shared,
        test: {
          name: 'conformance',
          include: ['conformance/**/*.test.ts'],
          exclude: ['conformance/cluster*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 180_000,
          // Real brokers and model servers share two cores: more files at once only makes them slower.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        ...shared,
        test: {
          name: 'cluster',
          include: ['conformance/cluster*.test.ts'],
          // Its addresses, ports and mounts are in a network namespace that no other process shares.
          pool: ownNetworkPool,
          // One cluster at a time.
          maxWorkers: 1,
          testTimeout: 120_000,
          hookTimeout: 1_800_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
