// Starts a cluster and executes the commands of the guide.
import { startCluster, type Cluster } from './cluster.ts'
import { commandsOf, PageReader } from './page-commands.ts'

/** Path of the guide, relative to the checkout. */
export const GUIDE = 'docs/guides/from-the-guide.md'

/** Starts a cluster, and executes all commands of the guide. @throws if a command fails */
export async function startGuideCluster(): Promise<{
  readonly cluster: Cluster
  readonly reader: PageReader
}> {
  const cluster = await startCluster()
  const reader = new PageReader(cluster.env)
  try {
    for (const { line, input } of commandsOf(GUIDE)) {
      const { code, stderr } = await reader.type(line, input)
      if (code !== 0) throw new Error(`${line}\n${stderr}\n${cluster.report()}`)
    }
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return { cluster, reader }
}
