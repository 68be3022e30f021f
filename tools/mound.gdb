# mound.gdb - goroutines in gdb, of a running process or of a core.
#
#   (gdb) source mound.gdb
#   (gdb) info goroutines        all of the run: number, state, what each waits for, its function
#   (gdb) goroutine 7            the calls goroutine 7 is in (a process: gdb moves a thread's registers
#                                there and back, so it must be stopped, and not in one of its own)
#   (gdb) goroutine-words 7      its stack as symbols, a core too: among them where each call returns
#
# In gdb's own command language. mound must be built with -g.

define mound-find
  # $mound_found: the goroutine with number $arg0, or 0
  set $mound_i = 0
  set $mound_found = (mo_g *)0
  while $mound_i < 'g.c'::num_records
    set $mound_g = &'g.c'::slabs[$mound_i / 512][$mound_i % 512]
    if !$mound_g->is_thread && $mound_g->epoch == mo_the_sched.epoch && $mound_g->state != MO_G_DEAD && $mound_g->id == $arg0
      set $mound_found = $mound_g
    end
    set $mound_i = $mound_i + 1
  end
end

define info goroutines
  set $mound_i = 0
  while $mound_i < 'g.c'::num_records
    set $mound_g = &'g.c'::slabs[$mound_i / 512][$mound_i % 512]
    if !$mound_g->is_thread && $mound_g->epoch == mo_the_sched.epoch && $mound_g->state != MO_G_DEAD
      printf "goroutine %lu ", $mound_g->id
      output (mo_g_state)$mound_g->state
      if $mound_g->state == MO_G_WAITING
        printf " "
        output (mo_wait_reason)$mound_g->reason
        printf " %p", $mound_g->waits_for
      end
      if $mound_g->name
        printf " (%s)", $mound_g->name
      end
      printf " "
      info symbol $mound_g->fn
    end
    set $mound_i = $mound_i + 1
  end
end
document info goroutines
All goroutines of the run: number, state, what each waits for, its function.
end

define goroutine
  mound-find $arg0
  if !$mound_found
    printf "no goroutine %d\n", $arg0
  else
    if $mound_found->state == MO_G_RUNNING
      printf "goroutine %d runs: thread apply all backtrace\n", $arg0
    else
      # Where the switch has pushed its registers: behind endbr64 (4), two pushes of 1 and four of 2.
      set $mound_sp = $rsp
      set $mound_pc = $pc
      set $rsp = $mound_found->context.sp
      set $pc = (unsigned long)&mo_context_switch + 14
      backtrace
      set $rsp = $mound_sp
      set $pc = $mound_pc
    end
  end
end
document goroutine
The calls that goroutine N is in, of a stopped process: goroutine N.
end

define goroutine-words
  mound-find $arg0
  if !$mound_found
    printf "no goroutine %d\n", $arg0
  else
    set $mound_at = (unsigned long *)$mound_found->context.sp
    while $mound_at < (unsigned long *)$mound_found->stack.hi
      output/a *$mound_at
      printf "\n"
      set $mound_at = $mound_at + 1
    end
  end
end
document goroutine-words
The words of goroutine N's stack as symbols: goroutine-words N.
end
