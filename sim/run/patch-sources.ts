import { registerHooks } from 'node:module';
import { findMutant } from '../mutants/list.ts';

/** Preloaded into a child process: the one source file of the mutant named in the environment is loaded with its bug in it. */
const mutant = findMutant(process.env['X0_SIM_MUTANT'] ?? '');

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(`/${mutant.file}`) || loaded.source == null) return loaded;
    const text = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source);
    if (text.split(mutant.find).length !== 2) throw new Error(`the patch of ${mutant.name} does not apply`);
    return { ...loaded, source: text.replace(mutant.find, () => mutant.replace) };
  },
});
