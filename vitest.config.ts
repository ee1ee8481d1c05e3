import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { ownNetworkPool } from './conformance/cluster/own-network-pool.ts'

// Sources are tested without a build: every package exports its TypeScript under the `source` condition.
const shared = { resolve: { conditions: ['source'] }, ssr: { resolve: { conditions: ['source'] } } }

// These tests replace a module, or add entries to tables of the sources; the other tests must not see that.
const CHANGES_MODULES = 'expose-model|open-grpc-upstream'

const unit = {
  // Long enough for a machine that is compiling a control plane at the same time.
  testTimeout: 30_000,
  // Starting a thread takes less CPU time than starting a process.
  pool: 'threads' as const,
  // A test that waits does not use its core, so one worker more than the number of cores keeps all cores busy. By
  // default, Vitest starts one worker fewer than the number of cores.
  maxWorkers: availableParallelism() + 1,
  sequence: { groupOrder: 0 },
  setupFiles: ['scripts/limit-property-runs.mjs'],
}

export default defineConfig({
  test: {
    projects: [
      {
        ...shared,
        test: {
          ...unit,
          name: 'unit',
          include: [`packages/*/src/**/!(${CHANGES_MODULES}).test.ts`],
          // Starting a thread and importing the sources for each file costs more CPU time than most of these tests. A
          // test that replaces timers restores them.
          isolate: false,
        },
      },
      {
        ...shared,
        test: {
          ...unit,
          name: 'unit-isolated',
          include: [`packages/*/src/**/@(${CHANGES_MODULES}).test.ts`],
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
          // Real brokers and model servers share two cores: running more files at once would only slow them down.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        ...shared,
        test: {
          name: 'cluster',
          include: ['conformance/cluster*.test.ts'],
          // The cluster's addresses, ports and mounts are in Linux namespaces that no other process shares.
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
